"""`session_auth`: a cookie in exchange for a token."""

import functools
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from litestar import Request, Response, delete, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

import chatrack
from chatrack import Access, Authenticator, BadRequest, DeriveKey, Routes, Unauthenticated, audit, hookimpl
from chatrack.interfaces import host_of, is_loopback

_MAX_COOKIE = 4000
"""The longest cookie that is set, in characters. Browsers drop cookies of more than 4096 with their name and attributes."""

_CACHE_SIZE = 4096
_DECODER = msgspec.msgpack.Decoder(Access)


class SessionAuthenticator(Authenticator):
    """Accepts the cookie of a session. A request with a header `Authorization` is left to other authenticators.

    Args:
        keys: the keys that cookies may be sealed with; the first one seals.
        cookie: the name of the cookie.
    """

    scheme = ""
    sent_by_browser = True

    def __init__(self, keys: Sequence[bytes], cookie: str) -> None:
        self._fernet = MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])
        self._cookie = cookie
        self.open = functools.lru_cache(_CACHE_SIZE)(self._open)

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Access | None:
        value = connection.cookies.get(self._cookie)
        # A client that gets a new token must be able to exchange it while its old cookie is dead.
        if not value or "authorization" in connection.headers:
            return None
        return self.open(value)

    def seal(self, access: Access) -> str:
        """Return the value of a cookie.

        Raises:
            BadRequest: it would be too long, or something in it cannot be written, such as a very large number.
        """
        try:
            content = msgspec.msgpack.encode(access)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise BadRequest("The token has claims that cannot be kept in a cookie.") from error
        # Without padding: a cookie with "=" would have to be quoted.
        value = self._fernet.encrypt(content).decode().rstrip("=")
        if len(value) > _MAX_COOKIE:
            raise BadRequest("The token has too many claims to fit into a cookie.")
        return value

    def _open(self, value: str) -> Access:
        """Return what is in a cookie.

        Raises:
            Unauthenticated: this server, and those with the same `secret_key`, did not make it.
        """
        try:
            return _DECODER.decode(self._fernet.decrypt(value + "=" * (-len(value) % 4)))
        except (InvalidToken, ValueError, RecursionError) as error:
            raise Unauthenticated("the session's cookie is not valid") from error


class SessionAuthPlugin:
    """Lets a browser exchange a token for a cookie that its scripts cannot read."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.session_auth]`.

        Args:
            max_age: the greatest length of a session, in seconds. It ends with the token, if that is earlier.
            same_site: whether the cookie is sent with requests from pages of other sites: `none` sends it (from the
                origins in `cors_origins`), `lax` and `strict` do not.
            cookie: the name of the cookie. Servers on one host name need different ones, whatever their ports.
        """

        max_age: Annotated[int, msgspec.Meta(ge=60, le=31_536_000)] = 86_400
        same_site: Literal["lax", "strict", "none"] = "lax"
        cookie: Annotated[
            str,
            msgspec.Meta(
                pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)", description="a name of letters, digits, `_` and `-`"
            ),
        ] = "chatrack_session"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @hookimpl
    def authenticators(self, derive_key: DeriveKey) -> Sequence[Authenticator]:
        """Return the authenticator."""
        return [self._authenticator(derive_key)]

    @hookimpl
    def routes(self, derive_key: DeriveKey) -> Routes:
        """Return `/auth/session`."""
        sessions = self._authenticator(derive_key)

        @post("/session", status_code=200)
        async def start(request: Request[Any, Access, Any]) -> Response[dict[str, str]]:
            """Set a cookie in exchange for the request's credentials."""
            access = request.auth
            latest = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=self.settings.max_age)
            expires_at = min(access.user.expires_at or latest, latest)
            user = msgspec.structs.replace(access.user, expires_at=expires_at)
            value = sessions.seal(msgspec.structs.replace(access, user=user))
            _record("session_started", request, access)
            return Response(
                {"expires_at": expires_at.isoformat().replace("+00:00", "Z")},
                cookies=[self._cookie_with(value, expires_at, request)],
                headers={"cache-control": "no-store"},
            )

        @delete("/session", opt={"public": True}, status_code=204)
        async def end(request: Request[Any, Any, Any]) -> Response[None]:
            """Clear the cookie in the browser. A copy of it elsewhere is valid until it expires."""
            try:
                access = await sessions.authenticate(request)
            except Unauthenticated:
                access = None
            ends = None if access is None else access.user.expires_at
            # A session that is over cannot be ended by somebody who has kept its cookie.
            if access is not None and (ends is None or ends > datetime.now(UTC)):
                _record("session_ended", request, access)
            return Response(
                None, cookies=[self._cookie_with("", None, request)], headers={"cache-control": "no-store"}
            )

        return Routes(prefix="/auth", handlers=[start, end])

    def _authenticator(self, derive_key: DeriveKey) -> SessionAuthenticator:
        return SessionAuthenticator(derive_key.all("cookie"), self.settings.cookie)

    def _cookie_with(
        self, value: str, expires_at: datetime | None, request: Request[Any, Any, Any]
    ) -> Cookie:
        """Return the cookie; without an end it is one that is cleared."""
        seconds = 0.0 if expires_at is None else (expires_at - datetime.now(UTC)).total_seconds()
        return Cookie(
            key=self.settings.cookie,
            value=value,
            path="/",
            max_age=max(0, int(seconds)),
            httponly=True,
            secure=self.settings.same_site == "none" or not is_loopback(host_of(request)),
            samesite=self.settings.same_site,
        )


def _record(
    event: Literal["session_started", "session_ended"], request: Request[Any, Any, Any], access: Access
) -> None:
    audit.record(
        event,
        tenant=access.user.tenant_id,
        user=access.user.id,
        address=request.client.host if request.client else None,
        request_id=request.scope["state"].get("chatrack.request_id"),
    )
