"""`api_keys_auth`: keys for servers and scripts."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar.connection import ASGIConnection

import chatrack
from chatrack import Authenticator, Unauthenticated, User, bearer_token, hookimpl
from chatrack.interfaces import API_KEY_PREFIX, HASH_PATTERN, MAX_ID, hash_api_key

Id = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^[^\\x00-\\x1f\\x7f]{{1,{MAX_ID}}}$(?!\\n)",
        description=f"an id of 1 to {MAX_ID} characters, without control characters",
    ),
]


class ApiKey(chatrack.Settings):
    """One of `[plugins.api_keys_auth] keys`.

    Args:
        hash: the hash that `chatrack key` prints; not the key itself.
        user: the id of the user that the key stands for.
        tenant: the user's tenant.
        roles: the user's roles.
    """

    hash: Annotated[
        str, msgspec.Meta(pattern=HASH_PATTERN, description="the hash of a key, as `chatrack key` prints it")
    ]
    user: Id
    tenant: Id = "default"
    roles: list[str] = []


class ApiKeysAuthenticator(Authenticator):
    """Accepts `Authorization: Bearer ctk_…`. Other tokens are left to other authenticators.

    Args:
        users: the users, by the hashes of their keys.
    """

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = users

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        key = bearer_token(connection)
        if key is None or not key.startswith(API_KEY_PREFIX):
            return None
        user = self._users.get(hash_api_key(key))
        if user is None:
            raise Unauthenticated("unknown API key")
        return user


class ApiKeysAuthPlugin:
    """Each key stands for a user. Keys do not expire; one is withdrawn by removing it from the config."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.api_keys_auth]`.

        Args:
            keys: the keys.
        """

        keys: list[ApiKey]

        def __post_init__(self) -> None:
            hashes = [key.hash for key in self.keys]
            if not hashes:
                raise ValueError("keys: expected one or more; `chatrack key` makes one")
            if len(set(hashes)) < len(hashes):
                raise ValueError("keys: two of them have the same hash")

    def __init__(self, settings: Settings) -> None:
        self.users = {
            key.hash: User(id=key.user, tenant_id=key.tenant, roles=frozenset(key.roles))
            for key in settings.keys
        }

    @hookimpl
    def authenticators(self) -> Sequence[Authenticator]:
        """Return the authenticator."""
        return [ApiKeysAuthenticator(self.users)]
