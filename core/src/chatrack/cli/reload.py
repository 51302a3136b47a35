"""`chatrack serve --reload`, for developing plugins."""

from pathlib import Path
from typing import Any

from watchfiles import Change, run_process

_WATCHED = {".py", ".toml", ".env"}


def serve_and_reload(config: Path, options: dict[str, Any]) -> int:
    """Serve in a child process, and start it again whenever a file below the current folder changes.

    Args:
        config: the config file.
        options: values that take the place of those in `[server]`.
    """
    folders = {Path.cwd(), config.absolute().parent}
    run_process(*folders, target=_serve, args=(config, options), watch_filter=_is_source)
    return 0


def _serve(config: Path, options: dict[str, Any]) -> None:
    import sys  # late: this runs in the child

    import click

    from chatrack.cli.serve import serve
    from chatrack.errors import StartupError

    try:
        sys.exit(serve(config, options))
    except StartupError as error:
        for line in error.lines:
            click.echo(f"chatrack: {line}", err=True)


def _is_source(_change: Change, path: str) -> bool:
    name = Path(path)
    hidden = any(part.startswith(".") and part != ".env" for part in name.parts)
    return not hidden and (name.suffix in _WATCHED or name.name == ".env")
