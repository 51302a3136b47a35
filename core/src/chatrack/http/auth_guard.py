"""The guard of all routes: domain key and authenticators, or the local user if there is no authenticator."""

import hmac
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers.base import BaseRouteHandler

from chatrack.assembly import is_loopback
from chatrack.errors import Forbidden, Unauthenticated
from chatrack.interfaces import LOCAL_USER, Authenticator
from chatrack.settings import Secret

PUBLIC = "public"
"""The key of a route handler's `opt` that makes it public: `opt={"public": True}`."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Coroutine[Any, Any, None]]


def _host(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    host = connection.headers.get("host", "localhost")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def auth_guard(authenticators: Sequence[Authenticator], domain_keys: Sequence[Secret]) -> Guard:
    """Return the guard of every route that is not public.

    It sets the user of the request, or refuses it with 401 or 403.

    Args:
        authenticators: the authenticators, in the order in which they are tried.
        domain_keys: the accepted values of the header `X-Domain-Key`; it is not required if the sequence is empty.
    """
    keys = [key.reveal().encode() for key in domain_keys]
    challenge = ", ".join(dict.fromkeys(authenticator.scheme for authenticator in authenticators)) or "Bearer"

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # CORS preflight requests carry no credentials.
        if handler.opt.get(PUBLIC) or connection.scope.get("method") == HttpMethod.OPTIONS:
            return
        if keys:
            sent = connection.headers.get("x-domain-key", "").encode()
            matches = [hmac.compare_digest(sent, key) for key in keys]
            if not any(matches):  # all are compared, so that the time does not depend on which one matches
                raise Forbidden("The header X-Domain-Key is missing or not valid.")
        if not authenticators and not is_loopback(_host(connection)):
            # DNS rebinding: a page can make its own host name resolve to 127.0.0.1 and act as the local user.
            raise Forbidden("Without an authenticator the Host header must name a loopback address.")
        user = None if authenticators else LOCAL_USER
        for authenticator in authenticators:
            connection.scope["state"]["chatrack.challenge"] = challenge
            user = await authenticator.authenticate(connection)
            if user is not None:
                break
        if user is None:
            raise Unauthenticated("The request has no valid credentials.")
        connection.scope["user"] = user
        connection.scope["state"]["chatrack.log_fields"].update(tenant=user.tenant_id, user=user.id)

    return guard
