"""Authentication."""

from abc import ABC, abstractmethod
from typing import Any

from litestar.connection import ASGIConnection

from chatrack.interfaces.user import User


class Authenticator(ABC):
    """An authenticator: it finds the user of a request by one kind of credentials.

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
    """The scheme in the header `WWW-Authenticate` of a 401 response."""

    @abstractmethod
    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        """Return the user of a request.

        Args:
            connection: the request, with its headers, cookies and address.

        Returns:
            The user; None if the request has no credentials of this kind, so that the next authenticator is tried.

        Raises:
            Unauthenticated: the request has credentials of this kind, and they are not valid.
        """
