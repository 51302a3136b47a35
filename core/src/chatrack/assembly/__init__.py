"""From config.toml to one frozen object with everything the server needs."""

from chatrack.assembly.assembly import Assembly, assemble, is_loopback
from chatrack.assembly.binding import BoundAgent
from chatrack.assembly.copying import Progress, copy_all
from chatrack.assembly.pairing import load_end, pair
from chatrack.assembly.running import connected, migrate_all, migrations_in_sql, rehearse, running
from chatrack.assembly.user_data import Kept, kept

__all__ = [
    "Assembly",
    "BoundAgent",
    "Kept",
    "Progress",
    "assemble",
    "connected",
    "copy_all",
    "is_loopback",
    "kept",
    "load_end",
    "migrate_all",
    "migrations_in_sql",
    "pair",
    "rehearse",
    "running",
]
