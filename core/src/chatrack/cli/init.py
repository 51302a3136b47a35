"""`chatrack init`."""

from pathlib import Path

import click

from chatrack.assembly import initial_config
from chatrack.errors import ConfigError


def init(path: Path) -> None:
    """Write a config file and, beside it, a `.env.example`, and print what was written.

    Args:
        path: the config file.

    Raises:
        StartupError: one of the files exists, or cannot be written; or no config would run.
    """
    example = path.with_name(".env.example")
    for file in (path, example):
        if file.exists():
            raise _exists(file)
    initial = initial_config(path)
    _write(path, initial.config)
    _write(example, initial.environment)
    click.echo(f"Wrote {path} and {example}.")
    for plugin, reason in sorted(initial.left_out.items()):
        click.echo(f"note: {plugin} is not enabled: {reason}")
    click.echo("Start the server with `chatrack serve`.")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        if file.exists():
            raise _exists(file) from error
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error


def _exists(file: Path) -> ConfigError:
    return ConfigError(
        f"{file}: the file exists and is not overwritten; move it away, or name another with --config"
    )
