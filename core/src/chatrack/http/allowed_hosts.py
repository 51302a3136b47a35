"""An ASGI middleware that refuses requests for other hosts."""

from collections.abc import Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from chatrack.errors import BadRequest
from chatrack.hosts import is_listed
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
        self._hosts = [host.lower() for host in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Probes and load balancers address a machine, not a host.
        if scope["type"] == ScopeType.HTTP and scope["path"] not in PATHS and not self._allows(scope):
            raise BadRequest("This server does not answer requests for the host in the Host header.")
        await self.app(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        connection = Connection(scope)
        return "host" in connection.headers and is_listed(host_of(connection), self._hosts)
