"""Users."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

MAX_ID = 255
"""The longest id of a user or tenant, in characters: the width of the columns that hold them."""


_NOT_IN_IDS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the chat. Every row of every table belongs to one, by `tenant_id` and `id`.

    Both ids have 1 to 255 characters and no control characters; a request of a user with other ids gets 401.

    Args:
        id: the id, unique within the tenant.
        tenant_id: the customer, team or installation that the user belongs to.
        name: the display name, if known.
        email: the email address, if known.
        locale: the language tag of the user's language, if known.
        roles: the roles, for tools and agents that are limited to some.
        claims: other claims of the credentials.
        expires_at: when the credentials end, in UTC; None if they do not.
    """

    id: str
    tenant_id: str = "default"
    name: str | None = None
    email: str | None = None
    locale: str | None = None
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = {}
    expires_at: datetime | None = None


def is_id(value: str) -> bool:
    """Return whether a text may be the id of a user or tenant."""
    return 0 < len(value) <= MAX_ID and not _NOT_IN_IDS.search(value)


LOCAL_USER = User(id="local")
"""The user of every request if no authenticator is enabled."""
