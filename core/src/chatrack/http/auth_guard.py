"""Who may come in: authenticators, in order; without any, the local user on a loopback address."""

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
"""`opt={"public": True}` on a handler lets everyone in."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Coroutine[Any, Any, None]]


def _host(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    host = connection.headers.get("host", "localhost")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def auth_guard(authenticators: Sequence[Authenticator], domain_keys: Sequence[Secret]) -> Guard:
    """Make the guard that stands before every route that is not public.

    Args:
        authenticators: the ways in, in order.
        domain_keys: the keys of which one must be sent as `X-Domain-Key`; none is asked for if empty.
    """
    keys = [key.reveal().encode() for key in domain_keys]
    challenge = ", ".join(dict.fromkeys(one.scheme for one in authenticators)) or "Bearer"

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # A preflight carries no credentials, whoever answers it.
        if handler.opt.get(PUBLIC) or connection.scope.get("method") == HttpMethod.OPTIONS:
            return
        if keys:
            given = connection.headers.get("x-domain-key", "").encode()
            if not any([hmac.compare_digest(given, key) for key in keys]):  # noqa: C419  (all are compared, always)
                raise Forbidden("This page's domain key is missing or not valid.")
        if not authenticators and not is_loopback(_host(connection)):
            # A page elsewhere can make its own name mean 127.0.0.1, and speak to us as the local user.
            raise Forbidden("Without an authenticator only requests to a loopback address are answered.")
        user = None if authenticators else LOCAL_USER
        for authenticator in authenticators:
            connection.scope["state"]["chatrack.challenge"] = challenge
            user = await authenticator.authenticate(connection)
            if user is not None:
                break
        if user is None:
            raise Unauthenticated("There are no valid credentials in this request.")
        connection.scope["user"] = user
        connection.scope["state"]["chatrack.log_fields"].update(tenant=user.tenant_id, user=user.id)

    return guard
