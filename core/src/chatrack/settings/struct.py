"""The base of every plugin's `Settings`."""

from typing import Final, dataclass_transform

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
