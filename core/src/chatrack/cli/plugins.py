"""`chatrack plugins`."""

from pathlib import Path

from chatrack.cli.report import print_traceback
from chatrack.cli.table import show
from chatrack.config import load_config
from chatrack.errors import ConfigError
from chatrack.plugins import discover, load
from chatrack.settings import Problems


def plugins(path: Path, *, verbose: bool) -> None:
    """Print the installed plugins: distribution, version, and what the enabled ones give.

    Only the enabled ones are imported; one that cannot be loaded says so in its row.

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
        state, api, gives = "installed", "", ""
        if name in config.enabled:
            problems = Problems(config.source.file)
            found = load([name], config.plugins, installed=installed, source=config.source, problems=problems)
            state = "enabled"
            if found:
                api, gives = str(found[0].instance.api), ", ".join(found[0].hooks)
            else:
                state, gives = "broken", problems.lines[0]
                if verbose:
                    _print_traceback(problems)
        rows.append(
            (name, state, plugin.distribution if plugin else "", plugin.version if plugin else "", api, gives)
        )
    show(("plugin", "state", "distribution", "version", "api", "gives"), rows)


def _print_traceback(problems: Problems) -> None:
    try:
        problems.raise_if_any()
    except ConfigError as error:
        print_traceback(error)
