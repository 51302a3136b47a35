"""From config.toml to one frozen object with everything the server needs."""

from chatrack.assembly.assembly import Assembly, assemble, is_loopback
from chatrack.assembly.binding import BoundAgent
from chatrack.assembly.running import migrate_all, rehearse, running

__all__ = ["Assembly", "BoundAgent", "assemble", "is_loopback", "migrate_all", "rehearse", "running"]
