"""config.toml: its tables, and reading it."""

from chatrack.config.file import Config, load_config, read_document
from chatrack.config.tables import (
    AgentTable,
    ChatTable,
    FilesTable,
    LimitsTable,
    RoleLimits,
    ServerTable,
    ToolTable,
)

__all__ = [
    "AgentTable",
    "ChatTable",
    "Config",
    "FilesTable",
    "LimitsTable",
    "RoleLimits",
    "ServerTable",
    "ToolTable",
    "load_config",
    "read_document",
]
