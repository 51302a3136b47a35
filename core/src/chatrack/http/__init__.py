"""HTTP: routes, errors, and the processes that serve them."""

from chatrack.http.app import create_app
from chatrack.http.process import serve

__all__ = ["create_app", "serve"]
