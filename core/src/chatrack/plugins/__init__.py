"""Finding, loading and calling plugins."""

from chatrack.plugins.discovery import GROUP, Installed, discover
from chatrack.plugins.loading import Loaded, load
from chatrack.plugins.manager import Contribution, Plugins

__all__ = ["GROUP", "Contribution", "Installed", "Loaded", "Plugins", "discover", "load"]
