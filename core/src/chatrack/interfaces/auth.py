"""Authentication."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from litestar.connection import ASGIConnection

from chatrack.errors import Unauthenticated
from chatrack.interfaces.user import User


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What credentials give access to. It holds for the requests that they are sent with.

    Args:
        user: the user.
        agent: the entry agent of these requests, one of the authenticator's `agents`; that of `[chat]` if None.
        state: values for `{state.<name>}` in instructions, and for tools (`ctx.context.request.state`).
    """

    user: User
    agent: str | None = None
    state: Mapping[str, Any] = {}


class Authenticator(ABC):
    """An authenticator: it finds the user of a request by one kind of credentials.

    Authenticators are tried in the order of `enabled`. ::

        class Tickets(Authenticator):
            scheme = "Ticket"

            async def authenticate(self, connection):
                ticket = connection.headers.get("x-ticket")
                if ticket is None:
                    return None
                if ticket not in self.tickets:
                    raise Unauthenticated("unknown ticket")
                return User(id=self.tickets[ticket])
    """

    scheme: str = "Bearer"
    """The scheme in the header `WWW-Authenticate` of a 401 response; empty if there is none, as for cookies."""

    sent_by_browser: bool = False
    """Whether browsers send the credentials by themselves, as they do cookies. Then a request of another site is
    refused: its `Origin` must be the server's own or one of `[server] cors_origins`."""

    agents: Sequence[str] = ()
    """The names of all agents that `Access.agent` may have. They are checked at start-up."""

    @abstractmethod
    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | Access | None:
        """Return the user of a request.

        Args:
            connection: the request, with its headers, cookies and address.

        Returns:
            The user, or the user's `Access`; None if the request has no credentials of this kind, so that the next
            authenticator is tried.

        Raises:
            Unauthenticated: the request has credentials of this kind, and they are not valid. The caller is told no
                more than that; the message goes to the audit log.
            Unavailable: what the credentials are checked with cannot be reached.
        """


class TokenIssuer(ABC):
    """What an authenticator also is if it can issue the tokens that it accepts. `chatrack token` uses it."""

    @abstractmethod
    def issue_token(self, user: User, lifetime: timedelta) -> str:
        """Return a new token.

        Args:
            user: who gets it; `id`, `tenant_id` and `roles` count.
            lifetime: how long it is valid.

        Raises:
            StartupError: it cannot issue tokens as it is configured.
        """


def bearer_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the token of the header `Authorization: Bearer`; None if the request has none.

    Raises:
        Unauthenticated: there are several such headers, which proxies and servers read in different ways.
    """
    # As the server has received them: to make a mapping of all headers takes longer than the rest.
    sent = [value for name, value in connection.scope["headers"] if name == b"authorization"]
    if not sent:
        return None
    if len(sent) > 1:
        raise Unauthenticated("several Authorization headers")
    scheme, _, token = sent[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
