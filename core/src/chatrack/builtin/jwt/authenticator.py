"""The authenticator of JSON Web Tokens."""

import hashlib
import json
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import msgspec
from litestar.connection import ASGIConnection

from chatrack import Authenticator, StartupError, TokenIssuer, Unauthenticated, User, bearer_token
from chatrack.builtin.jwt.claims import ClaimNames, user_of
from chatrack.builtin.jwt.keys import Key, Keys, OneKey

MAX_TOKEN: Final = 16_384
"""The longest token, in characters."""

_CACHE_SIZE: Final = 4096
_DOTS: Final = 2
"""Between the three parts of a token."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a token has to fulfil.

    Args:
        algorithms: the accepted algorithms.
        issuers: the accepted values of `iss`; any if empty.
        audiences: of these, `aud` must have one; any if empty.
        leeway: seconds that clocks may differ by.
        names: the claims that describe the user.
    """

    algorithms: frozenset[str]
    issuers: Sequence[str]
    audiences: Sequence[str]
    leeway: float
    names: ClaimNames


class JWTAuthenticator(Authenticator):
    """Accepts `Authorization: Bearer` with three parts between dots. Other tokens are left to other authenticators.

    Args:
        keys: verify the tokens.
        rules: what a token has to fulfil.
    """

    def __init__(self, keys: Keys, rules: Rules) -> None:
        self._keys = keys
        self._rules = rules
        # A client sends the same token with every request. The hashes say nothing about the tokens.
        self._verified: OrderedDict[bytes, tuple[User, Key]] = OrderedDict()

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        token = bearer_token(connection)
        if token is None or token.count(".") != _DOTS:
            return None
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and self._keys.is_current(known[1]):
            return known[0]  # that it has not expired is checked for every request
        user, key = await self._verify(token)
        self._verified[digest] = (user, key)
        if len(self._verified) > _CACHE_SIZE:
            self._verified.popitem(last=False)
        return user

    async def _verify(self, token: str) -> tuple[User, Key]:
        rules = self._rules
        try:
            header = _read_part(token, 0)
            _check_times(_read_part(token, 1))
        except (ValueError, RecursionError) as error:
            raise Unauthenticated(f"the token cannot be read: {error}") from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in rules.algorithms:
            raise Unauthenticated("the algorithm is not accepted")
        if "crit" in header:
            raise Unauthenticated("the token has extensions that must be understood")
        if key_id is not None and not isinstance(key_id, str):
            raise Unauthenticated("the key's id is not text")
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise Unauthenticated("there is no such key")
        try:
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[algorithm],
                issuer=list(rules.issuers) or None,
                audience=list(rules.audiences) or None,
                leeway=rules.leeway,
                options={"require": ["exp"], "verify_aud": bool(rules.audiences)},
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC) + timedelta(seconds=rules.leeway)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not valid: {error}") from error
        except (ValueError, OverflowError, OSError) as error:
            raise Unauthenticated("the claim exp is not a time") from error
        return user_of(claims, rules.names, expires_at), key


class IssuingAuthenticator(JWTAuthenticator, TokenIssuer):
    """The authenticator of a shared secret, which can also issue tokens.

    Args:
        key: the secret.
        algorithm: the algorithm of new tokens.
        rules: what a token has to fulfil.
    """

    def __init__(self, key: Key, algorithm: str, rules: Rules) -> None:
        super().__init__(OneKey(key), rules)
        self._key = key
        self._algorithm = algorithm

    def issue_token(self, user: User, lifetime: timedelta) -> str:
        names = self._rules.names
        if names.tenant is None and user.tenant_id != "default":
            raise StartupError(
                "jwt_auth: set `tenant_claim`; without it all users are of the tenant `default`"
            )
        issued_at = int(time.time())
        claims: dict[str, Any] = {"sub": user.id, "iat": issued_at}
        claims["exp"] = issued_at + int(lifetime.total_seconds())
        if self._rules.issuers:
            claims["iss"] = self._rules.issuers[0]
        if self._rules.audiences:
            claims["aud"] = self._rules.audiences[0]
        if user.roles:
            claims[names.roles] = sorted(user.roles)
        if names.tenant is not None:
            claims[names.tenant] = user.tenant_id
        claims[names.user] = user.id
        return jwt.encode(claims, self._key.material, algorithm=self._algorithm)


def _read_part(token: str, index: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a token, which nothing vouches for yet.

    Raises:
        ValueError: it is no JSON object, or a name occurs twice in it, which programs read in different ways.
    """
    part = token.split(".")[index]
    text = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    # Python's decoder accepts what is not JSON: numbers such as NaN, half characters, and other encodings.
    msgspec.json.decode(text)
    value = json.loads(text, object_pairs_hook=_without_duplicates)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  (one error for all that cannot be read)
    return value


def _check_times(claims: dict[str, Any]) -> None:
    """Raise `ValueError` if a time is not a number; PyJWT would take a text, too."""
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} is not a number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")
    return value
