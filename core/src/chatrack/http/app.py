"""The ASGI application: a fresh one for each call, nothing global."""

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp

from chatrack.http.access import AccessLog
from chatrack.http.admission import admission
from chatrack.http.api import api_route
from chatrack.http.health import health_routes
from chatrack.http.problems import problem
from chatrack.server import ChatrackServer


def create_app(server: ChatrackServer) -> ASGIApp:
    """Make the application.

    Args:
        server: what answers ChatKit requests; what it is made of is started by the caller.
    """
    assembly = server.assembly
    settings = assembly.config.server
    plugins = [
        Router(path=f"/x/{given.plugin}", route_handlers=list(given.value)) for given in assembly.routes
    ]
    return AccessLog(
        Litestar(
            route_handlers=[api_route(server), *health_routes(server), *plugins],
            guards=[admission(assembly.authenticators, settings.domain_keys)],
            exception_handlers={Exception: problem},
            cors_config=_cors(settings.cors_origins),
            openapi_config=None,
            logging_config=None,
            request_max_body_size=settings.max_body,
        )
    )


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_credentials="*" not in origins,  # browsers refuse the two together
        allow_methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", "X-Domain-Key", "X-Requested-With"],
        expose_headers=["X-Request-Id", "Retry-After"],
        max_age=600,
    )
