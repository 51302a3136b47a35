"""`signed_header_auth`: users that a gateway has authenticated."""

import binascii
import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar.connection import ASGIConnection

import chatrack
from chatrack import Authenticator, Secret, Unauthenticated, User, hookimpl
from chatrack.settings import ONE_OR_LIST

USER_HEADER: Final = "x-chatrack-user"
"""The user: a JSON object in base64url."""

TIMESTAMP_HEADER: Final = "x-chatrack-timestamp"
"""When the gateway signed: seconds since 1970."""

SIGNATURE_HEADER: Final = "x-chatrack-signature"
"""`v1=` and, in hexadecimal, the HMAC-SHA256 of `v1`, the timestamp and the user header, with a line feed between them."""

_HEADERS = (USER_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
_MIN_SECRET = 32
_MAX_HEADER = 16_384
_TIMESTAMP = re.compile("[0-9]{1,12}")  # longer ones do not fit into a float, or not into an integer


class HeaderUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The user in the header; fields as in `User`."""

    id: str
    tenant_id: str = "default"
    name: str | None = None
    email: str | None = None
    locale: str | None = None
    roles: list[str] = []


_DECODER = msgspec.json.Decoder(HeaderUser)


def sign(secret: str, timestamp: str, user: str) -> str:
    """Return the signature of two headers.

    Args:
        secret: the secret that the gateway and this server share.
        timestamp: the timestamp header.
        user: the user header.
    """
    message = f"v1\n{timestamp}\n{user}".encode()
    return f"v1={hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()}"


class SignedHeaderAuthenticator(Authenticator):
    """Accepts the three headers of a gateway that knows the secret.

    Args:
        secrets: the accepted secrets.
        window: seconds that a signature is accepted for.
    """

    scheme = "Chatrack-Signature"

    def __init__(self, secrets: Sequence[Secret], window: float) -> None:
        self._secrets = [secret.reveal() for secret in secrets]
        self._window = window

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        values = [connection.headers.getall(name, []) for name in _HEADERS]
        if not any(values):
            return None
        if any(len(sent) != 1 or len(sent[0]) > _MAX_HEADER for sent in values):
            raise Unauthenticated("a header of the gateway is missing, sent twice or too long")
        [[user], [timestamp], [signature]] = values
        if not _TIMESTAMP.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > self._window:
            raise Unauthenticated("the signature of the gateway is too old, or the clocks differ")
        sent = signature.encode()
        matches = [
            hmac.compare_digest(sent, sign(secret, timestamp, user).encode()) for secret in self._secrets
        ]
        if not any(matches):
            raise Unauthenticated("the signature of the gateway is wrong")
        return _read_user(user)


def _read_user(header: str) -> User:
    try:
        fields = _DECODER.decode(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Unauthenticated(f"the user of the gateway cannot be read: {error}") from error
    return User(
        id=fields.id,
        tenant_id=fields.tenant_id,
        name=fields.name,
        email=fields.email,
        locale=fields.locale,
        roles=frozenset(fields.roles),
    )


class SignedHeaderAuthPlugin:
    """Trusts a gateway in front of the server, which signs who the user is."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.signed_header_auth]`.

        Args:
            secret: the secret that the gateway signs with, 32 bytes or more; or a list of accepted ones.
            window: seconds that a signature is accepted for, before and after its timestamp. Within it, whoever has seen
                a request can send it again.
        """

        secret: Annotated[list[Secret], ONE_OR_LIST]
        window: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0

        def __post_init__(self) -> None:
            if not self.secret:
                raise ValueError("secret: expected one or more")
            if any(len(secret.reveal().encode()) < _MIN_SECRET for secret in self.secret):
                raise ValueError(
                    f"secret: expected {_MIN_SECRET} bytes or more; `openssl rand -hex 32` makes one"
                )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @hookimpl
    def authenticators(self) -> Sequence[Authenticator]:
        """Return the authenticator."""
        return [SignedHeaderAuthenticator(self.settings.secret, self.settings.window)]
