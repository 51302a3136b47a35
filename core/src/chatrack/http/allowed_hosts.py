"""An ASGI middleware that refuses requests for other hosts."""

from collections.abc import Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from chatrack.errors import BadRequest
from chatrack.http.auth_guard import Connection
from chatrack.http.health import PATHS
from chatrack.interfaces import host_of


class AllowedHosts:
    """Raises `BadRequest` if the Host header names none of some hosts.

    Args:
        app: the application.
        hosts: the names and addresses; `*.example.com` stands for all names that end with `.example.com`.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self._names = {host.lower() for host in hosts if not host.startswith("*")}
        self._suffixes = tuple(host[1:].lower() for host in hosts if host.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Probes and load balancers address a machine, not a host.
        if scope["type"] == ScopeType.HTTP and scope["path"] not in PATHS and not self._allows(scope):
            raise BadRequest("This server does not answer requests for the host in the Host header.")
        await self.app(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        connection = Connection(scope)
        if "host" not in connection.headers:
            return False
        host = host_of(connection).lower().removesuffix(".")
        return host in self._names or (bool(self._suffixes) and host.endswith(self._suffixes))
