"""HTTP: the routes, the errors and the process that serves them."""

from chatrack.http.app import create_app
from chatrack.http.process import serve

__all__ = ["create_app", "serve"]
