"""Discovery, loading and hooks of plugins."""

from chatrack.plugins.discovery import GROUP, Installed, discover
from chatrack.plugins.loading import Loaded, load
from chatrack.plugins.manager import PLUGIN_ROUTES, HookResult, PluginManager

__all__ = [
    "GROUP",
    "PLUGIN_ROUTES",
    "HookResult",
    "Installed",
    "Loaded",
    "PluginManager",
    "discover",
    "load",
]
