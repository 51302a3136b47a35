"""The base of every plugin's `Settings`."""

from typing import Annotated, Any, Final, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

ENV: Final = "env"


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _SettingsMeta(msgspec.StructMeta):
    """Tells type checkers that subclasses are frozen too; at run time msgspec sees to it."""


class Settings(
    msgspec.Struct, metaclass=_SettingsMeta, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A table of config.toml as a typed, frozen struct.

    A field's type says what is accepted; `Annotated[int, msgspec.Meta(ge=1)]` bounds it; a field with a
    default is optional. `Secret` fields are never shown; `Path` fields are relative to config.toml.
    """


def from_env(name: str) -> msgspec.Meta:
    """Let an absent setting take its value from an environment variable.

    Args:
        name: the variable; used as `Annotated[Secret | None, from_env("OPENAI_API_KEY")]`.
    """
    return msgspec.Meta(extra={ENV: name})


def variable_of(hint: Any) -> str | None:
    """Return the environment variable that `from_env` names in an annotation; None if there is none."""
    if get_origin(hint) is not Annotated:
        return None
    extras = [part.extra for part in get_args(hint)[1:] if isinstance(part, msgspec.Meta) and part.extra]
    return next((extra[ENV] for extra in extras if ENV in extra), None)


def variables_of(settings: type[msgspec.Struct]) -> dict[str, str]:
    """Return the environment variables that absent settings take their values from, by setting."""
    hints = get_type_hints(settings, include_extras=True)
    found = (
        (field.encode_name, variable_of(hints[field.name])) for field in msgspec.structs.fields(settings)
    )
    return {name: variable for name, variable in found if variable is not None}
