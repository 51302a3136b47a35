"""The ASGI application: a fresh one for each call, nothing global."""

from collections.abc import Sequence

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, ControllerRouterHandler

from chatrack.assembly import Assembly
from chatrack.chat.server import ChatrackServer
from chatrack.http.access import AccessLog
from chatrack.http.api import api_route
from chatrack.http.auth_guard import auth_guard
from chatrack.http.health import health_routes
from chatrack.http.problems import problem
from chatrack.plugins import HookResult


def create_app(server: ChatrackServer) -> ASGIApp:
    """Make the application.

    Args:
        server: what answers ChatKit requests; what it is made of is started by the caller.

    Raises:
        PluginError: the routes of a plugin do not fit together.
    """
    assembly = server.assembly
    settings = assembly.config.server
    plugins = [_mounted(assembly, given) for given in assembly.routes]
    return AccessLog(
        Litestar(
            route_handlers=[api_route(server), *health_routes(server), *plugins],
            guards=[auth_guard(assembly.authenticators, settings.domain_keys)],
            exception_handlers={Exception: problem},
            cors_config=_cors(settings.cors_origins),
            openapi_config=None,
            logging_config=None,
            request_max_body_size=settings.max_body,
        )
    )


def _mounted(assembly: Assembly, given: HookResult[Sequence[ControllerRouterHandler]]) -> Router:
    try:
        router = Router(path=f"/x/{given.plugin}", route_handlers=list(given.value))
        # On its own first, so that a mistake has a name.
        Litestar(route_handlers=[router], openapi_config=None, logging_config=None)
    except Exception as error:  # Litestar raises many types for handlers that do not fit
        raise assembly.plugins.error(given.plugin, "hook", f"`routes`: {error}") from error
    return Router(path=f"/x/{given.plugin}", route_handlers=list(given.value))


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
