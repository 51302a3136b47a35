"""The guard of all routes: domain key and authenticators, or the local user if there is no authenticator."""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute

from chatrack import audit
from chatrack.clock import now
from chatrack.config import ServerTable
from chatrack.errors import Forbidden, Unauthenticated
from chatrack.http.origins import Origins
from chatrack.interfaces import LOCAL_USER, Access, Authenticator, User, host_of, is_id, is_loopback
from chatrack.limits import Limits

PUBLIC = "public"
"""The key of a route handler's `opt` that makes it public: `opt={"public": True}`."""

DOMAIN_KEY = "domain_key"
"""The key of a route handler's `opt` that says that it asks for a domain key, if there are any."""

UNLIMITED = "unlimited"
"""The key of a route handler's `opt` that keeps it out of `[limits]`."""

REASON = "chatrack.refusal"
"""The key in `scope["state"]` of why a request was refused, if its client is not told."""

_SAFE_METHODS = {"GET", "HEAD"}
_MAX_SIGN_INS = 10_000
"""How many sign-ins are remembered, so that each is in the audit log once."""

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Coroutine[Any, Any, None]]


class _NoCredentials(Unauthenticated):
    """The request has no credentials of any kind: nobody has guessed."""


def auth_guard(authenticators: Sequence[Authenticator], settings: ServerTable, limits: Limits) -> Guard:
    """Return the guard of all routes.

    It sets `user` and `auth` (the `Access`) of requests to routes that are not public, or refuses them with 401 or 403;
    and it refuses with 429 what is beyond the limits.

    Args:
        authenticators: the authenticators, in the order in which they are tried.
        settings: domain keys, origins, and whether anybody may come in if there is no authenticator.
        limits: counts requests.
    """
    keys = [key.reveal().encode() for key in settings.domain_keys]
    schemes = dict.fromkeys(authenticator.scheme for authenticator in authenticators if authenticator.scheme)
    challenge = ", ".join(schemes) or "Bearer"
    origins = Origins(settings)
    signed_in = _SignIns()

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        if _lists_methods(handler):
            return
        if not handler.opt.get(UNLIMITED):
            await limits.check_address(address_of(connection))
        if handler.opt.get(PUBLIC):
            return
        try:
            if keys and handler.opt.get(DOMAIN_KEY):
                _check_domain_key(connection, keys)
            if not authenticators:
                if not settings.allow_anonymous:
                    _check_local(connection, origins)
                access = Access(user=LOCAL_USER)
            else:
                connection.scope["state"]["chatrack.challenge"] = challenge
                access, authenticator = await _authenticate(connection, authenticators)
                if authenticator.sent_by_browser:
                    _check_origin(connection, origins)
                if signed_in.add(access.user, authenticator, address_of(connection)):
                    record("signed_in", connection, user=access.user, by=type(authenticator).__name__)
        except (Unauthenticated, Forbidden) as error:
            if isinstance(error, Unauthenticated):
                connection.scope["state"][REASON] = error.detail
                if not isinstance(error, _NoCredentials):
                    await _count_failure(connection, limits)
                # Which check failed would help those who forge credentials.
                raise Unauthenticated("The request has no valid credentials.") from error
            raise
        user = access.user
        connection.scope["user"] = user
        connection.scope["auth"] = access
        connection.scope["state"]["chatrack.log_fields"].update(tenant=user.tenant_id, user=user.id)
        await limits.check_request(user)

    return guard


def address_of(connection: Connection) -> str | None:
    """Return the network address that a request came from; of what proxies say, trusted ones are believed."""
    return connection.client.host if connection.client else None


def record(event: audit.Event, connection: Connection, *, user: User | None = None, **fields: Any) -> None:
    """Write a line about a request to the audit log.

    Args:
        event: what happened.
        connection: the request.
        user: who sent it; None if nobody knows.
        fields: more about the event; never content.
    """
    audit.record(
        event,
        tenant=user.tenant_id if user else None,
        user=user.id if user else None,
        address=address_of(connection),
        request_id=connection.scope["state"].get("chatrack.request_id"),
        method=_method(connection),
        path=connection.scope["state"].get("chatrack.path"),
        **fields,
    )


async def _authenticate(
    connection: Connection, authenticators: Sequence[Authenticator]
) -> tuple[Access, Authenticator]:
    for authenticator in authenticators:
        result = await authenticator.authenticate(connection)
        if result is None:
            continue
        access = Access(user=result) if isinstance(result, User) else result
        if not isinstance(access, Access):
            raise TypeError(
                f"{type(authenticator).__name__}.authenticate must return a User, an Access or None, "
                f"got {type(result).__name__}"
            )
        _check_user(access.user)
        return access, authenticator
    raise _NoCredentials("no credentials")


async def _count_failure(connection: Connection, limits: Limits) -> None:
    """Refuse invalid credentials with 429 instead of 401 if many came from the same address.

    Raises:
        TooManyRequests: many did.
    """
    beyond = await limits.count_failure(address_of(connection))
    if beyond is None:
        return
    refusal, is_first = beyond
    if is_first:  # a line for each would fill the disk
        record("throttled", connection, reason="too many invalid credentials")
    raise refusal


def _check_user(user: User) -> None:
    for what, value in (("user", user.id), ("tenant", user.tenant_id)):
        if not is_id(value):
            raise Unauthenticated(f"the id of the {what} is empty or too long, or has control characters")
    if user.expires_at is not None and user.expires_at <= now():
        raise Unauthenticated("expired")


def _check_domain_key(connection: Connection, keys: Sequence[bytes]) -> None:
    sent = connection.headers.get("x-domain-key", "").encode()
    matches = [hmac.compare_digest(sent, key) for key in keys]
    if not any(matches):  # all are compared, so that the time does not depend on which one matches
        raise Forbidden("The header X-Domain-Key is missing or not valid.")


def _check_local(connection: Connection, origins: Origins) -> None:
    if not is_loopback(host_of(connection)):
        # DNS rebinding: a page can make its own host name resolve to 127.0.0.1 and act as the local user.
        raise Forbidden("Without an authenticator the Host header must name a loopback address.")
    address = address_of(connection)
    if address is not None and not is_loopback(address):
        raise Forbidden("Without an authenticator requests are accepted from this machine only.")
    origin = connection.headers.get("origin")
    if origin is not None and not origins.may_be_local_user(origin, connection):
        # Every browser on this machine has access, and sends what is no JSON without asking the server first.
        raise Forbidden("Without an authenticator requests are not accepted from this origin.")


def _check_origin(connection: Connection, origins: Origins) -> None:
    origin = connection.headers.get("origin")
    if origin is None:
        # Browsers send it with every request that may change something.
        if _method(connection) in _SAFE_METHODS:
            return
        raise Forbidden("A request with a cookie needs the header Origin.")
    if not origins.are_trusted(origin, connection):
        raise Forbidden("Requests with a cookie are not accepted from this origin.")


def _lists_methods(handler: BaseRouteHandler) -> bool:
    """Return whether a handler is the one that Litestar adds to a route, which answers OPTIONS with its methods.

    It answers CORS preflight requests, which carry no credentials, if `CORSConfig` does not. Other handlers of OPTIONS
    are the plugin's, and so is everything that a mounted application answers.
    """
    return isinstance(handler, HTTPRouteHandler) and handler.fn.__module__ == HTTPRoute.__module__


def _method(connection: Connection) -> str:
    return str(connection.scope.get("method", ""))


class _SignIns:
    """The users that have been let in, the most recent ones."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, int, str | None], None] = OrderedDict()

    def add(self, user: User, authenticator: Authenticator, address: str | None) -> bool:
        """Return whether this user has not been let in by this authenticator from this address before."""
        key = (user.tenant_id, user.id, id(authenticator), address)
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > _MAX_SIGN_INS:
            self._seen.popitem(last=False)
        return True
