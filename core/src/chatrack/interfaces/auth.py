"""Who may come in."""

from abc import ABC, abstractmethod
from typing import Any

from litestar.connection import ASGIConnection

from chatrack.interfaces.user import User


class Authenticator(ABC):
    """Turns a connection's credentials into a user.

    Authenticators are tried in the order of `enabled`. ::

        class ApiKeys(Authenticator):
            scheme = "ApiKey"

            async def authenticate(self, connection):
                key = connection.headers.get("x-api-key")
                if key is None:
                    return None
                if key not in self.keys:
                    raise Unauthenticated("This API key is not known.")
                return User(id=self.keys[key])
    """

    scheme: str = "Bearer"
    """What `WWW-Authenticate` says when nobody let the caller in."""

    @abstractmethod
    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        """Find out who is asking.

        Args:
            connection: the request: headers, cookies, address.

        Returns:
            The user, or None if there are no credentials of this kind.

        Raises:
            Unauthenticated: there are credentials of this kind, and they are not valid.
        """
