"""The base of every plugin's `Settings`."""

from typing import Annotated, Any, Final, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

ENV: Final = "env"

ONE_OR_LIST: Final = msgspec.Meta(extra={"one_or_list": True})
"""The annotation of a list that may also be written as its only item: `Annotated[list[Secret], ONE_OR_LIST]`."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _SettingsMeta(msgspec.StructMeta):
    """The metaclass of `Settings`. Type checkers learn from it that subclasses are frozen; msgspec enforces it."""


class Settings(
    msgspec.Struct, metaclass=_SettingsMeta, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A table of config.toml as a typed, frozen struct.

    The type of a field decides what is accepted, and `Annotated[int, msgspec.Meta(ge=1)]` adds bounds. A field with a
    default is optional. `Secret` fields are never printed. `Path` fields are relative to config.toml.

    A `__post_init__` may raise `ValueError`. A message that begins with the name of a field and a colon is reported
    under the key of that field.
    """


def from_env(name: str) -> msgspec.Meta:
    """Return the annotation of a setting that takes its value from an environment variable if it is absent.

    Use it as `Annotated[Secret | None, from_env("OPENAI_API_KEY")]`.

    Args:
        name: the name of the variable.
    """
    return msgspec.Meta(extra={ENV: name})


def variable_of(hint: Any) -> str | None:
    """Return the environment variable that `from_env` names in an annotation; None if there is none."""
    if get_origin(hint) is not Annotated:
        return None
    extras = [part.extra for part in get_args(hint)[1:] if isinstance(part, msgspec.Meta) and part.extra]
    return next((extra[ENV] for extra in extras if ENV in extra), None)


def is_one_or_list(hint: Any) -> bool:
    """Return whether an annotation has `ONE_OR_LIST`."""
    return get_origin(hint) is Annotated and ONE_OR_LIST in get_args(hint)[1:]


def variables_of(settings: type[msgspec.Struct]) -> dict[str, str]:
    """Return the environment variables that absent settings take their values from, by setting."""
    hints = get_type_hints(settings, include_extras=True)
    variables = (
        (field.encode_name, variable_of(hints[field.name])) for field in msgspec.structs.fields(settings)
    )
    return {name: variable for name, variable in variables if variable is not None}
