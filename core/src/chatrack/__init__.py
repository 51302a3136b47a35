"""Chatrack: a self-hosted ChatKit backend made of plugins. Plugin authors import from here.

Names are loaded when they are first used: a command that needs no tools does not load the Agents SDK.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from chatrack.errors import (
        BadRequest,
        ChatrackError,
        ConfigError,
        Forbidden,
        ModelFailure,
        NotFound,
        PluginError,
        RequestError,
        StartupError,
        Unauthenticated,
        Unavailable,
    )
    from chatrack.hookspecs import hookimpl
    from chatrack.interfaces import (
        ActionCall,
        AgentSpec,
        Authenticator,
        Migrations,
        Model,
        ModelProvider,
        RequestContext,
        Store,
        Tool,
        ToolContext,
        ToolError,
        Transcriber,
        TurnContext,
        User,
        UserData,
        UserRecord,
        function_tool,
    )
    from chatrack.settings import Secret, Settings

_HOMES = {
    "chatrack.errors": (
        "BadRequest",
        "ChatrackError",
        "ConfigError",
        "Forbidden",
        "ModelFailure",
        "NotFound",
        "PluginError",
        "RequestError",
        "StartupError",
        "Unauthenticated",
        "Unavailable",
    ),
    "chatrack.hookspecs": ("hookimpl",),
    "chatrack.interfaces": (
        "ActionCall",
        "AgentSpec",
        "Authenticator",
        "Migrations",
        "Model",
        "ModelProvider",
        "RequestContext",
        "Store",
        "Tool",
        "ToolContext",
        "ToolError",
        "Transcriber",
        "TurnContext",
        "User",
        "UserData",
        "UserRecord",
        "function_tool",
    ),
    "chatrack.settings": ("Secret", "Settings"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ActionCall",
    "AgentSpec",
    "Authenticator",
    "BadRequest",
    "ChatrackError",
    "ConfigError",
    "Forbidden",
    "Migrations",
    "Model",
    "ModelFailure",
    "ModelProvider",
    "NotFound",
    "PluginError",
    "RequestContext",
    "RequestError",
    "Secret",
    "Settings",
    "StartupError",
    "Store",
    "Tool",
    "ToolContext",
    "ToolError",
    "Transcriber",
    "TurnContext",
    "Unauthenticated",
    "Unavailable",
    "User",
    "UserData",
    "UserRecord",
    "__version__",
    "function_tool",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
