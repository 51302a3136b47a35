"""The commands. Each loads what it needs when it runs."""

import functools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import chatrack
from chatrack.errors import StartupError

F = TypeVar("F", bound=Callable[..., Any])

MISTAKE = 2
"""The exit code of an operator's mistake."""


def command(function: F) -> Callable[..., Any]:
    """Give a command the options that all have, and one plain line for each of the operator's mistakes."""

    @click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        default=Path("config.toml"),
        show_default=True,
        help="The config file.",
    )
    @click.option("--verbose", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def run(*args: Any, verbose: bool, **options: Any) -> None:
        try:
            code = function(*args, **options)
        except StartupError as error:
            if verbose:
                traceback.print_exc()
            for line in error.lines:
                click.echo(f"chatrack: {line}", err=True)
            sys.exit(MISTAKE)
        if code:
            sys.exit(code)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(chatrack.__version__, prog_name="chatrack")
def main() -> None:
    """Chatrack: a self-hosted ChatKit backend made of plugins."""


@main.command()
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead.")
@click.option("--workers", type=click.IntRange(1), help="How many processes serve.")
@click.option("--reload", is_flag=True, help="Start again when the config file or a Python file changes.")
@command
def serve(config: Path, host: str | None, port: int | None, workers: int | None, *, reload: bool) -> int:
    """Serve the chat."""
    given = {"host": host, "port": port, "workers": workers}
    options = {name: value for name, value in given.items() if value is not None}
    if reload:
        from chatrack.cli.reload import serve_and_reload

        return serve_and_reload(config, options)
    from chatrack.cli.serve import serve as run

    return run(config, options)


@main.command()
@command
def check(config: Path) -> None:
    """Load, validate and connect everything, then say what there is."""
    from chatrack.cli.check import check as run

    run(config)


@main.command()
@command
def plugins(config: Path) -> None:
    """List the installed plugins and what the enabled ones give."""
    from chatrack.cli.plugins import plugins as run

    run(config)


@main.command()
@command
def migrate(config: Path) -> None:
    """Bring the tables of the store and of the enabled plugins up to date."""
    from chatrack.cli.migrate import migrate as run

    run(config)
