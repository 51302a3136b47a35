"""The commands. Each imports what it needs when it runs, so that `--help` is quick."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import chatrack
from chatrack.cli.report import report
from chatrack.errors import StartupError

F = TypeVar("F", bound=Callable[..., Any])

MISTAKE = 2
"""The exit code of a mistake in the configuration or on the command line."""


def command(function: F) -> Callable[..., Any]:
    """Add the options that all commands have, and print a `StartupError` as one line for each mistake."""

    @click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        default=Path("config.toml"),
        show_default=True,
        help="The config file.",
    )
    @click.option("--verbose", is_flag=True, help="Print the traceback of a mistake.")
    @functools.wraps(function)
    def run(*args: Any, verbose: bool, **options: Any) -> None:
        try:
            code = function(*args, **options)
        except StartupError as error:
            report(error, verbose=verbose)
            sys.exit(MISTAKE)
        if code:
            sys.exit(code)

    return run


def _require_readable(config: Path) -> None:
    """Refuse a config file that is missing or not TOML.

    Called before the libraries of a command are imported, which takes longer.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    from chatrack.config import read_document

    read_document(config)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(chatrack.__version__, prog_name="chatrack")
def main() -> None:
    """Chatrack: a self-hosted ChatKit backend made of plugins."""


@main.command()
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Serve with this many processes.")
@click.option("--reload", is_flag=True, help="Restart when the config file or a Python file changes.")
@command
def serve(config: Path, host: str | None, port: int | None, workers: int | None, *, reload: bool) -> int:
    """Serve the chat."""
    overrides = {"host": host, "port": port, "workers": workers}
    options = {name: value for name, value in overrides.items() if value is not None}
    verbose = click.get_current_context().params["verbose"]
    if reload:
        from chatrack.cli.reload import serve_and_reload

        return serve_and_reload(config, options, verbose=verbose)
    _require_readable(config)
    from chatrack.cli.serve import serve as run

    return run(config, options, verbose=verbose)


@main.command()
@command
def init(config: Path) -> None:
    """Write a config file for the installed plugins, and a .env.example beside it."""
    from chatrack.cli.init import init as run

    run(config)


@main.command()
@command
def check(config: Path) -> None:
    """Load, validate and connect everything, and print it. Writes nothing."""
    _require_readable(config)
    from chatrack.cli.check import check as run

    run(config)


@main.command()
@command
def plugins(config: Path) -> None:
    """List the installed plugins, and the hooks of the enabled ones."""
    _require_readable(config)
    from chatrack.cli.plugins import plugins as run

    run(config, verbose=click.get_current_context().params["verbose"])


@main.command()
@click.option("--sql", is_flag=True, help="Print the SQL instead of running it.")
@command
def migrate(config: Path, *, sql: bool) -> None:
    """Bring the tables of the store and of the enabled plugins up to date."""
    _require_readable(config)
    from chatrack.cli.migrate import migrate as run

    run(config, sql=sql)


@main.command()
@click.option("--user", required=True, help="The id of the user.")
@click.option("--tenant", default="default", show_default=True, help="The user's tenant.")
@click.option("--role", "roles", multiple=True, help="A role of the user; may be repeated.")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True, max=87_600),
    default=24.0,
    show_default=True,
    help="How long the token is valid.",
)
@command
def token(config: Path, user: str, tenant: str, roles: tuple[str, ...], hours: float) -> None:
    """Print a token for development."""
    _require_readable(config)
    from chatrack.cli.token import token as run

    run(config, user=user, tenant=tenant, roles=roles, hours=hours)


@main.command()
def key() -> None:
    """Print a new API key, and the hash of it for config.toml."""
    from chatrack.cli.key import key as run

    run()


@main.command()
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="The config file to copy from.",
)
@click.option(
    "--to", "target", type=click.Path(path_type=Path), help="The config file to copy to, instead of --config."
)
@command
def copy(config: Path, source: Path, target: Path | None) -> int:
    """Copy everything from the databases of one config into the empty databases of another."""
    target = target or config
    _require_readable(source)
    _require_readable(target)
    from chatrack.cli.copy import copy as run

    return run(source, target)


@main.command()
@click.option("--user", help="The id of the user.")
@click.option("--tenant", help="The user's tenant; may be left out if all data is of `default`.")
@command
def export(config: Path, user: str | None, tenant: str | None) -> int:
    """Write all data of a user to stdout, as JSON Lines."""
    _require_readable(config)
    from chatrack.cli.export import export as run

    return run(config, user=user, tenant=tenant)


@main.command()
@click.option("--user", help="The id of the user.")
@click.option("--tenant", help="The user's tenant; may be left out if all data is of `default`.")
@click.option(
    "--older-than",
    metavar="AGE",
    help="Instead of a user: data that is older than 12h, 90d or 4w, of all users.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@command
def purge(config: Path, user: str | None, tenant: str | None, older_than: str | None, *, yes: bool) -> int:
    """Delete all data of a user, or all old data."""
    _require_readable(config)
    from chatrack.cli.purge import purge as run

    return run(config, user=user, tenant=tenant, older_than=older_than, confirmed=yes)
