"""References: `{ env = "NAME", default = … }` and `{ file = "path" }` in place of a plain value."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values

from chatrack.errors import ConfigError


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where settings come from.

    Args:
        file: the name of the file as errors show it.
        folder: what relative paths are relative to.
        environ: the environment that `env` references read.
    """

    file: str
    folder: Path
    environ: Mapping[str, str]


class Missing(Exception):
    """A reference has no value.

    Args:
        message: names the variable or file.
        unset: whether it is a variable that is not set; anything else is a mistake wherever it stands.
    """

    def __init__(self, message: str, *, unset: bool = False) -> None:
        self.unset = unset
        super().__init__(message)


class Resolved(msgspec.Struct, frozen=True):
    """A plain value, and whether it came as text (and therefore may be coerced)."""

    value: Any
    textual: bool


def load_source(config_file: Path, environ: Mapping[str, str] | None = None) -> Source:
    """Describe where the settings of a config file come from: the process environment, then `.env` beside it.

    Args:
        config_file: the path of config.toml.
        environ: the process environment; `os.environ` if None.

    Raises:
        ConfigError: `.env` cannot be read.
    """
    folder = config_file.absolute().parent
    try:
        found = dotenv_values(folder / ".env", interpolate=False)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{folder / '.env'}: is not UTF-8 text") from error
    values = {name: value for name, value in found.items() if value}
    # An empty variable counts as not set, here too: it does not hide a line of .env.
    process = os.environ if environ is None else environ
    values.update({name: value for name, value in process.items() if value})
    return Source(file=config_file.name, folder=folder, environ=values)


def is_reference(value: object) -> bool:
    """Tell whether a value of config.toml is a reference rather than a plain value."""
    if not isinstance(value, dict):
        return False
    keys = set(value)
    return keys == {"file"} or ("env" in keys and keys <= {"env", "default"})


def resolve(reference: dict[str, Any], source: Source) -> Resolved:
    """Look a reference up.

    Args:
        reference: `{env, default?}` or `{file}`.
        source: where to look.

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
        raise Missing("`env` takes the name of a variable")
    if text := source.environ.get(name, ""):
        return Resolved(text, textual=True)
    if "default" in reference:
        return Resolved(reference["default"], textual=False)
    raise Missing(f"the environment variable {name} is not set", unset=True)
