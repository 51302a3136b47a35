"""From the claims of a token to a user."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from chatrack import Unauthenticated, User


class ClaimNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the claims that describe the user. A name is looked up as it is, then as a dotted path.

    Args:
        user: the user's id.
        tenant: the tenant; None if all users are of the tenant `default`.
        roles: a list of roles, or one text with spaces between them.
        name: the display name.
        email: the email address.
        locale: a language tag.
    """

    user: str
    tenant: str | None
    roles: str
    name: str
    email: str
    locale: str


def user_of(claims: Mapping[str, Any], names: ClaimNames, expires_at: datetime) -> User:
    """Return the user of a token.

    Args:
        claims: the claims; they are verified.
        names: which of them describe the user.
        expires_at: when the token ends.

    Raises:
        Unauthenticated: a claim that is needed is missing, or not of the right type.
    """
    return User(
        id=_required_text(claims, names.user),
        tenant_id="default" if names.tenant is None else _required_text(claims, names.tenant),
        name=_text(claims, names.name),
        email=_text(claims, names.email),
        locale=_text(claims, names.locale),
        roles=_roles(claims, names.roles),
        claims=claims,
        expires_at=expires_at,
    )


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its exact name, or else by a dotted path such as `realm_access.roles`; None if it is missing."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _required_text(claims: Mapping[str, Any], name: str) -> str:
    value = find_claim(claims, name)
    if not isinstance(value, str) or not value:
        raise Unauthenticated(f"the claim {name} is missing, empty or not text")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = find_claim(claims, name)
    return value if isinstance(value, str) else None


def _roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    value = find_claim(claims, name)
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list) and all(isinstance(role, str) for role in value):
        return frozenset(value)
    raise Unauthenticated(f"the claim {name} is neither text nor a list of texts")
