"""Tables of config.toml to structs, collecting every mistake with its file and key (T30)."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from chatrack.errors import ConfigError
from chatrack.settings.references import Missing, Source, is_reference, resolve
from chatrack.settings.secret import Secret
from chatrack.settings.struct import ENV

T = TypeVar("T", bound=msgspec.Struct)

_ABSENT = object()


class Problems:
    """The mistakes found so far, so that all of them can be reported at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []

    def add(self, key: str, message: str) -> None:
        """Note a mistake.

        Args:
            key: the full key in the file (`plugins.postgres_store.pool_size`).
            message: what was expected; never a value, which may be a secret.
        """
        self.lines.append(f"{self.file}: {key}: {message}")

    def raise_if_any(self) -> None:
        """Raise all mistakes as one error.

        Raises:
            ConfigError: there is at least one.
        """
        if self.lines:
            raise ConfigError(self.lines)


def closest(name: str, candidates: Iterable[str]) -> str:
    """Give ` (did you mean "x"?)` for the closest candidate, or nothing if none is close."""
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""


def decode(cls: type[T], table: object, *, key: str, source: Source, problems: Problems) -> T | None:
    """Turn a table into a struct.

    Args:
        cls: the struct, one field a setting.
        table: what stands in the file.
        key: the full key of the table, for errors.
        source: what references and relative paths are resolved against.
        problems: receives every mistake.

    Returns:
        The struct, or None if there was a mistake in this table.
    """
    if not isinstance(table, dict):
        problems.add(key, f"expected a table, got `{_type_name(table)}`")
        return None
    before = len(problems.lines)
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    hints = get_type_hints(cls, include_extras=True)
    for name in table:
        if name not in fields:
            problems.add(_join(key, name), f"unknown key{closest(name, fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        path = _join(key, name)
        variable = _variable(hints[field.name])
        if name not in table and variable is not None:
            table = {**table, name: {"env": variable}}
        if name not in table:
            if field.required:
                problems.add(path, "missing; it is required")
            elif isinstance(field.default, Path):
                values[field.name] = source.folder / field.default
            continue
        value = _value(table[name], hints[field.name], path, field.required, source, problems)
        if value is not _ABSENT:
            values[field.name] = value
        elif isinstance(field.default, Path):
            values[field.name] = source.folder / field.default
    if len(problems.lines) > before:
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # a check in the struct's own __post_init__
        problems.add(key, str(error))
        return None


def _value(
    raw: object,
    hint: Any,
    key: str,
    required: bool,
    source: Source,
    problems: Problems,
) -> Any:
    struct = _struct_in(hint)
    if struct is not None and not is_reference(raw):
        return decode(struct, raw, key=key, source=source, problems=problems)
    inner = _mapping_of_structs(hint)
    if inner is not None and isinstance(raw, dict):
        return {
            name: decode(inner, table, key=_join(key, name), source=source, problems=problems)
            for name, table in raw.items()
        }
    textual = False
    try:
        if is_reference(raw):
            resolved = resolve(raw, source)  # type: ignore[arg-type]  # is_reference says it is a dict
            raw, textual = resolved.value, resolved.textual
        elif isinstance(raw, list):
            raw = [resolve(part, source).value if is_reference(part) else part for part in raw]
        elif isinstance(raw, dict):
            raw = {
                name: resolve(part, source).value if is_reference(part) else part
                for name, part in raw.items()
            }
    except Missing as missing:
        if required or "variable" not in str(missing):
            problems.add(key, str(missing))
        return _ABSENT
    if textual and _is_sequence(hint):
        raw = [part.strip() for part in str(raw).split(",") if part.strip()]
    try:
        return msgspec.convert(raw, hint, strict=not textual, dec_hook=_hook(source))
    except (msgspec.ValidationError, ValueError) as error:
        problems.add(key, _expectation(error, raw, hint))
        return _ABSENT


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
        guess = closest(raw, choices) if isinstance(raw, str) else ""
        return f"expected one of {listed}{guess}"
    where = re.search(r" - at `\$(?:\.\.\.)?([^`]*)`", str(error))
    text = re.sub(r" - at `[^`]*`", "", str(error))
    text = text[:1].lower() + text[1:]
    return f"{text} (at {where.group(1)})" if where and where.group(1) else text


def _plain(hint: Any) -> list[Any]:
    """List the members of a hint, without Annotated, Optional and None."""
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


def _mapping_of_structs(hint: Any) -> type[msgspec.Struct] | None:
    for part in _plain(hint):
        origin = get_origin(part)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return _struct_in(get_args(part)[1])
    return None


def _is_sequence(hint: Any) -> bool:
    return any((get_origin(part) or part) in {list, tuple, set, frozenset} for part in _plain(hint))


def _choices(hint: Any) -> list[str]:
    return [str(arg) for part in _plain(hint) if get_origin(part) is Literal for arg in get_args(part)]


def _variable(hint: Any) -> str | None:
    if get_origin(hint) is not Annotated:
        return None
    extras = [part.extra for part in get_args(hint)[1:] if isinstance(part, msgspec.Meta) and part.extra]
    return next((extra[ENV] for extra in extras if ENV in extra), None)


def _type_name(value: object) -> str:
    return {"dict": "table", "list": "array"}.get(type(value).__name__, type(value).__name__)


def _join(key: str, name: str) -> str:
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None
    part = name if bare else f'"{name}"'
    return f"{key}.{part}" if key else part
