"""Who is asking."""

from collections.abc import Mapping
from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the chat. Every row belongs to one, by `tenant_id` and `id`.

    Args:
        id: unique within the tenant.
        tenant_id: the customer, team or installation the user belongs to.
        name: what to call the user, if known.
        email: the user's address, if known.
        roles: what the user may do, for tools and agents that ask.
        claims: whatever else the authenticator learnt.
    """

    id: str
    tenant_id: str = "default"
    name: str | None = None
    email: str | None = None
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = {}


LOCAL_USER = User(id="local")
"""The only user there is when no authenticator is enabled."""
