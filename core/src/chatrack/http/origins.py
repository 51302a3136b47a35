"""The origins whose pages may act for whoever has them open: with a cookie, or as the local user."""

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

from chatrack.config import ServerTable
from chatrack.interfaces import is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origins:
    """The server's own origin, and those of `cors_origins`.

    Args:
        settings: has `cors_origins` and `public_url`.
    """

    def __init__(self, settings: ServerTable) -> None:
        # "*" lets every page read what needs no credentials; it trusts none with a user's cookie.
        self._trusted = {_normalize(origin) for origin in settings.cors_origins if origin != "*"}
        self._all = "*" in settings.cors_origins
        self._own = None if settings.public_url is None else _normalize(settings.public_url)

    def are_trusted(self, origin: str, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Return whether a request's `Origin` is one of these.

        Without `public_url` the server's own origin is the one that the request was sent to: its Host header. A page of
        another site cannot choose that header.
        """
        sent = _normalize(origin)
        if sent is None:
            return False
        if sent in self._trusted:
            return True
        if self._own is not None:
            return sent == self._own
        host = connection.headers.get("host", "")
        # Behind a proxy that ends TLS, the scheme of the connection is not that of the page.
        return sent in {_normalize(f"{scheme}://{host}") for scheme in _DEFAULT_PORTS}

    def may_be_local_user(self, origin: str, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Return whether a page of this origin may send requests to a server without an authenticator.

        Pages of this machine may, on whatever port: a development server passes requests on with its own `Origin`.
        """
        sent = _normalize(origin)
        if sent is not None and is_loopback(sent[1]):
            return True
        return self._all or self.are_trusted(origin, connection)


def _normalize(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a URL; None if it has no host, as the origin `null`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    return None if not host else (scheme, host.lower(), port or _DEFAULT_PORTS.get(scheme))
