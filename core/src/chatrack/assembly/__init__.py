"""From config.toml to one frozen object with everything the server needs."""

from chatrack.assembly.assembly import Assembly, assemble
from chatrack.assembly.binding import BoundAgent
from chatrack.assembly.checking import TablesState, check_connections
from chatrack.assembly.copying import Progress, copy_all
from chatrack.assembly.guardrails import BoundGuardrail
from chatrack.assembly.initial_config import InitialConfig, initial_config
from chatrack.assembly.pairing import load_side, pair
from chatrack.assembly.running import connected, dry_start, migrate_all, migrations_in_sql, running
from chatrack.assembly.user_data import UserDataService, open_user_data

__all__ = [
    "Assembly",
    "BoundAgent",
    "BoundGuardrail",
    "InitialConfig",
    "Progress",
    "TablesState",
    "UserDataService",
    "assemble",
    "check_connections",
    "connected",
    "copy_all",
    "dry_start",
    "initial_config",
    "load_side",
    "migrate_all",
    "migrations_in_sql",
    "open_user_data",
    "pair",
    "running",
]
