"""Errors that stop a command or the start of the server."""

from collections.abc import Sequence
from typing import Literal

from chatrack.errors.base import ChatrackError

Stage = Literal["install", "import", "api", "settings", "hook", "start", "copy", "export", "purge"]
"""The step at which a plugin failed."""


class StartupError(ChatrackError):
    """The server cannot start as it is configured; the command line prints each line and exits with code 2.

    Args:
        lines: what is wrong, one mistake per line.
    """

    def __init__(self, lines: str | Sequence[str]) -> None:
        self.lines = [lines] if isinstance(lines, str) else list(lines)
        super().__init__("\n".join(self.lines))


class ConfigError(StartupError):
    """config.toml, .env or the environment is wrong; each line names the file and the key."""


class PluginError(StartupError):
    """A plugin cannot be used.

    Args:
        plugin: the plugin's name, as in `enabled`.
        stage: the step at which it failed.
        message: what is wrong and what to do.
        distribution: the distribution that installs the plugin, with its version, if known.
    """

    def __init__(self, plugin: str, stage: Stage, message: str, *, distribution: str | None = None) -> None:
        self.plugin = plugin
        self.stage = stage
        source = f" ({distribution})" if distribution else ""
        super().__init__(f"plugin {plugin}{source}: {stage}: {' '.join(message.split())}")
