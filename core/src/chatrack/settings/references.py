"""References: `{ env = "NAME", default = … }` and `{ file = "path" }` in place of a plain value."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values

from chatrack.errors import ConfigError


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of settings: a config file and an environment.

    Args:
        file: the name of the file, for errors.
        folder: the folder that relative paths are relative to.
        environ: the variables that `env` references read.
    """

    file: str
    folder: Path
    environ: Mapping[str, str]


class Missing(Exception):
    """A reference has no value.

    Args:
        message: what is missing; names the variable or the file.
        unset: whether a variable is not set, which an optional setting allows. Anything else is always a mistake.
    """

    def __init__(self, message: str, *, unset: bool = False) -> None:
        self.unset = unset
        super().__init__(message)


class Resolved(msgspec.Struct, frozen=True):
    """The value of a reference.

    Args:
        value: the value.
        textual: whether it is text from a variable or a file, which may be converted to the type of the setting.
    """

    value: Any
    textual: bool


def load_source(config_file: Path, environ: Mapping[str, str] | None = None) -> Source:
    """Return the source of a config file's settings: the process environment, then `.env` beside the file.

    Args:
        config_file: the config file.
        environ: the process environment; `os.environ` if None.

    Raises:
        ConfigError: `.env` cannot be read.
    """
    folder = config_file.absolute().parent
    try:
        dotenv = dotenv_values(folder / ".env", interpolate=False)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{folder / '.env'}: is not UTF-8 text") from error
    values = {name: value for name, value in dotenv.items() if value}
    # An empty variable counts as not set, so it does not hide a line of .env.
    process = os.environ if environ is None else environ
    values.update({name: value for name, value in process.items() if value})
    return Source(file=config_file.name, folder=folder, environ=values)


def is_reference(value: object) -> bool:
    """Return whether a value of config.toml is a reference."""
    if not isinstance(value, dict):
        return False
    keys = set(value)
    return keys == {"file"} or ("env" in keys and keys <= {"env", "default"})


def resolve(reference: dict[str, Any], source: Source) -> Resolved:
    """Return the value of a reference.

    Args:
        reference: `{env, default?}` or `{file}`.
        source: the environment and the folder.

    Raises:
        Missing: the variable is not set (an empty one counts as not set), or the file cannot be read.
    """
    if "file" in reference:
        path = source.folder / str(reference["file"])
        try:
            return Resolved(path.read_text(encoding="utf-8").rstrip("\r\n"), textual=True)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise Missing(f"cannot read the file {reference['file']}: {reason}") from error
    name = reference["env"]
    if not isinstance(name, str) or not name:
        raise Missing("`env` must be the name of a variable")
    if text := source.environ.get(name, ""):
        return Resolved(text, textual=True)
    if "default" in reference:
        return Resolved(reference["default"], textual=False)
    raise Missing(f"the environment variable {name} is not set", unset=True)
