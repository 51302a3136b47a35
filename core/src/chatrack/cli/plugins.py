"""`chatrack plugins`."""

from pathlib import Path

from chatrack.cli.report import print_traceback
from chatrack.cli.table import show
from chatrack.config import load_config
from chatrack.errors import ConfigError
from chatrack.plugins import discover, load
from chatrack.settings import Problems


def plugins(path: Path, *, verbose: bool) -> None:
    """Print the installed plugins with their distributions, and the hooks of the enabled ones.

    Only enabled plugins are imported. The row of one that cannot be loaded has the reason.

    Args:
        path: the config file.
        verbose: print the traceback of a plugin that cannot be loaded.

    Raises:
        StartupError: the config file cannot be read.
    """
    config, _ = load_config(path)
    installed = discover()
    rows = []
    for name in sorted({*installed, *config.enabled}):
        plugin = installed.get(name)
        state, api, hooks = "installed", "", ""
        if name in config.enabled:
            problems = Problems(config.source.file)
            loaded = load(
                [name], config.plugins, installed=installed, source=config.source, problems=problems
            )
            state = "enabled"
            if loaded:
                api, hooks = str(loaded[0].instance.api), ", ".join(loaded[0].hooks)
            else:
                state, hooks = "broken", problems.lines[0]
                if verbose:
                    _print_traceback(problems)
        rows.append(
            (name, state, plugin.distribution if plugin else "", plugin.version if plugin else "", api, hooks)
        )
    show(("plugin", "state", "distribution", "version", "api", "hooks"), rows)


def _print_traceback(problems: Problems) -> None:
    try:
        problems.raise_if_any()
    except ConfigError as error:
        print_traceback(error)
