"""Decoding of tables of config.toml into structs. All mistakes are collected, each with its file and key."""

import difflib
import math
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from chatrack.errors import ConfigError, StartupError
from chatrack.settings.references import Missing, Source, is_reference, resolve
from chatrack.settings.secret import Secret
from chatrack.settings.struct import ENV, is_one_or_list, variable_of

T = TypeVar("T", bound=msgspec.Struct)

_ABSENT = object()
_CONTAINERS = (list, set, frozenset, tuple)


class Problems:
    """The mistakes found so far, so that all of them can be reported at once.

    Args:
        file: the name of the config file, for errors.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []
        self._causes: list[Exception] = []

    def add(self, key: str, message: str, *, cause: Exception | None = None) -> None:
        """Add a mistake.

        Args:
            key: the full key in the file (`plugins.postgres_store.pool_size`).
            message: what was expected; never a value, which may be a secret.
            cause: the exception of a plugin's code that reported the mistake, for its traceback.
        """
        self.lines.append(f"{self.file}: {key}: {message}")
        if cause is not None:
            self._causes.append(cause)

    def add_error(self, error: StartupError) -> None:
        """Add the lines of an error, without those that are there already, and keep its traceback."""
        lines = [line for line in error.lines if line not in self.lines]
        if lines:
            self.lines += lines
            self._causes.append(error)

    def raise_if_any(self) -> None:
        """Raise all mistakes as one error, with the exceptions that reported them as its cause.

        Raises:
            ConfigError: there is at least one.
        """
        if not self.lines:
            return
        if len(self._causes) > 1:
            raise ConfigError(self.lines) from ExceptionGroup("several mistakes", self._causes)
        raise ConfigError(self.lines) from next(iter(self._causes), None)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` with the closest candidate; an empty string if none is close."""
    closest = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f' (did you mean "{closest[0]}"?)' if closest else ""


def decode(cls: type[T], table: object, *, key: str, source: Source, problems: Problems) -> T | None:
    """Decode a table into a struct.

    Args:
        cls: the struct; each field is a setting.
        table: the table as TOML gives it.
        key: the full key of the table, for errors.
        source: the environment for references, and the folder for relative paths.
        problems: gets every mistake.

    Returns:
        The struct, or None if there is a mistake in this table.

    Raises:
        TypeError: the struct has a field of a type that cannot be decoded.
    """
    if not isinstance(table, dict):
        problems.add(key, f"expected a table, got `{_type_name(table)}`")
        return None
    before = len(problems.lines)
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    hints = get_type_hints(cls, include_extras=True)
    for name in table:
        if name not in fields:
            problems.add(_join(key, name), f"unknown key{did_you_mean(name, fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        path, hint = _join(key, name), hints[field.name]
        if name in table:
            raw = table[name]
        elif (variable := variable_of(hint)) is not None:
            raw = {ENV: variable}
        else:
            raw = _ABSENT
        try:
            value = _ABSENT if raw is _ABSENT else _value(raw, hint, path, field.required, source, problems)
            if value is _ABSENT:
                value = _default(field, hint, path, source, problems)
        except TypeError as error:  # a mistake in the class; msgspec does not name the field
            raise TypeError(f"`{name}`: {error}") from error
        if value is not _ABSENT:
            values[field.name] = value
        elif field.required and raw is _ABSENT:
            problems.add(path, "missing; it is required")
    if len(problems.lines) > before:
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # raised by the struct's `__post_init__`
        setting, colon, message = str(error).partition(": ")
        if colon and setting in fields:
            problems.add(_join(key, setting), message, cause=error)
        else:
            problems.add(key, str(error), cause=error)
        return None


def _default(
    field: msgspec.structs.FieldInfo, hint: Any, key: str, source: Source, problems: Problems
) -> Any:
    """Return the default of a setting if it depends on the folder of the file; otherwise `_ABSENT`."""
    if isinstance(field.default, Path):
        return source.folder / field.default
    if isinstance(field.default, msgspec.Struct):
        return _convert({}, hint, key, source, problems, textual=False)
    return _ABSENT


def _value(raw: Any, hint: Any, key: str, required: bool, source: Source, problems: Problems) -> Any:
    """Resolve a value if it is a reference, and convert it; return `_ABSENT` if it is missing or wrong."""
    if not is_reference(raw):
        return _convert(raw, hint, key, source, problems, textual=False)
    try:
        resolved = resolve(raw, source)
    except Missing as missing:
        if required or not missing.unset:
            problems.add(key, str(missing))
        return _ABSENT
    value = resolved.value
    if resolved.textual and _element_of(hint) is not None:
        value = [part.strip() for part in str(value).split(",") if part.strip()]
    return _convert(value, hint, key, source, problems, textual=resolved.textual)


def _convert(raw: Any, hint: Any, key: str, source: Source, problems: Problems, *, textual: bool) -> Any:
    """Convert a plain value. Containers are converted item by item, so that a mistake in an item has its own key."""
    struct = _struct_in(hint)
    if struct is not None:
        decoded = decode(struct, raw, key=key, source=source, problems=problems)
        return _ABSENT if decoded is None else decoded
    entry = _entry_of(hint)
    if entry is not None:
        if not isinstance(raw, dict):
            problems.add(key, f"expected a table, got `{_type_name(raw)}`")
            return _ABSENT
        table = {
            name: _value(value, entry, _join(key, name), True, source, problems)
            for name, value in raw.items()
        }
        return _ABSENT if _ABSENT in table.values() else table
    element = _element_of(hint)
    if is_one_or_list(hint) and isinstance(raw, str):
        raw = [raw]
    if element is not None and isinstance(raw, list):
        items = [
            _convert(item, element, f"{key}[{index}]", source, problems, textual=True)
            if textual
            else _value(item, element, f"{key}[{index}]", True, source, problems)
            for index, item in enumerate(raw)
        ]
        return _ABSENT if any(item is _ABSENT for item in items) else _container_of(hint)(items)
    try:
        value = msgspec.convert(raw, hint, strict=not textual, dec_hook=_hook(source))
    except (msgspec.ValidationError, ValueError) as error:
        problems.add(key, _expectation(error, raw, hint))
        return _ABSENT
    if isinstance(value, float) and not math.isfinite(value):
        problems.add(key, "expected a finite `float`")
        return _ABSENT
    return value


def _hook(source: Source) -> Any:
    def convert(kind: type, value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"expected `str`, got `{_type_name(value)}`")  # noqa: TRY004  (msgspec reports ValueError)
        if kind is Secret:
            return Secret(value)
        if issubclass(kind, Path):
            return source.folder / Path(value).expanduser()
        raise ValueError(f"settings of type {kind.__name__} cannot be read")

    return convert


def _expectation(error: Exception, raw: object, hint: Any) -> str:
    choices = _choices(hint)
    if choices and not (isinstance(raw, str) and raw in choices):
        listed = ", ".join(f'"{choice}"' for choice in choices)
        guess = did_you_mean(raw, choices) if isinstance(raw, str) else ""
        return f"expected one of {listed}{guess}"
    if description := _description(hint):
        return f"expected {description}"
    text = (
        re.sub(r" - at `[^`]*`", "", str(error)).replace("`object`", "a table").replace("`array`", "a list")
    )
    return text[:1].lower() + text[1:]


def _plain(hint: Any) -> list[Any]:
    """Return the members of a union, or the hint itself; without `Annotated` and None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return [part for arg in get_args(hint) if arg is not type(None) for part in _plain(arg)]
    return [hint]


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    for part in _plain(hint):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _entry_of(hint: Any) -> Any | None:
    """Return the type of a mapping's values; None if the hint is not a mapping."""
    for part in _plain(hint):
        origin = get_origin(part)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return get_args(part)[1]
    return None


def _element_of(hint: Any) -> Any | None:
    """Return the type of a sequence's items; None if the hint is not a sequence of one type."""
    for part in _plain(hint):
        args = get_args(part)
        if get_origin(part) in {list, set, frozenset} or (get_origin(part) is tuple and args[1:] == (...,)):
            return args[0]
    return None


def _container_of(hint: Any) -> Any:
    return next(origin for part in _plain(hint) if (origin := get_origin(part)) in _CONTAINERS)


def _choices(hint: Any) -> list[str]:
    return [str(arg) for part in _plain(hint) if get_origin(part) is Literal for arg in get_args(part)]


def _description(hint: Any) -> str | None:
    """Return the `description` of a hint's `msgspec.Meta`: what is expected, in words."""
    if get_origin(hint) in {Union, types.UnionType}:
        return next(filter(None, map(_description, get_args(hint))), None)
    if get_origin(hint) is not Annotated:
        return None
    metas = [part for part in get_args(hint)[1:] if isinstance(part, msgspec.Meta)]
    return next((meta.description for meta in metas if meta.description), None)


def _type_name(value: object) -> str:
    return {"dict": "table", "list": "array"}.get(type(value).__name__, type(value).__name__)


def _join(key: str, name: str) -> str:
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None
    part = name if bare else f'"{name}"'
    return f"{key}.{part}" if key else part
