"""Users."""

from collections.abc import Mapping
from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the chat. Every row of every table belongs to one, by `tenant_id` and `id`.

    Args:
        id: the id, unique within the tenant.
        tenant_id: the customer, team or installation that the user belongs to.
        name: the display name, if known.
        email: the email address, if known.
        roles: the roles, for tools and agents that check them.
        claims: other claims of the credentials.
    """

    id: str
    tenant_id: str = "default"
    name: str | None = None
    email: str | None = None
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = {}


LOCAL_USER = User(id="local")
"""The user of every request if no authenticator is enabled."""
