"""`chatrack serve --reload`, for developing plugins."""

import sys
from pathlib import Path
from typing import Any

from watchfiles import Change, run_process

from chatrack.cli.report import report
from chatrack.errors import StartupError

_WATCHED = {".py", ".toml", ".env"}


def serve_and_reload(config: Path, options: dict[str, Any], *, verbose: bool) -> int:
    """Serve in a child process, and restart it when a file in the current folder or the config's folder changes.

    Args:
        config: the config file.
        options: settings of `[server]` that override those in the file.
        verbose: print the traceback of a mistake.

    Returns:
        The exit code.
    """
    folders = {Path.cwd(), config.absolute().parent}
    run_process(*folders, target=_serve, args=(config, options, verbose), watch_filter=_is_source)
    return 0


def _serve(config: Path, options: dict[str, Any], verbose: bool) -> None:
    from chatrack.cli.serve import serve  # late: the parent only watches files

    try:
        sys.exit(serve(config, options, verbose=verbose))
    except StartupError as error:
        report(error, verbose=verbose)


def _is_source(_change: Change, path: str) -> bool:
    name = Path(path)
    hidden = any(part.startswith(".") and part != ".env" for part in name.parts)
    return not hidden and (name.suffix in _WATCHED or name.name == ".env")
