"""The ASGI application. Every call creates a new one; there is no global state."""

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
    """Return a new application.

    Args:
        server: answers ChatKit requests. The caller starts its assembly.

    Raises:
        PluginError: the routes of a plugin cannot be mounted.
    """
    assembly = server.assembly
    settings = assembly.config.server
    plugin_routes = [_plugin_router(assembly, routes) for routes in assembly.routes]
    return AccessLog(
        Litestar(
            route_handlers=[api_route(server), *health_routes(server), *plugin_routes],
            guards=[auth_guard(assembly.authenticators, settings.domain_keys)],
            exception_handlers={Exception: problem},
            cors_config=_cors(settings.cors_origins),
            openapi_config=None,
            logging_config=None,
            request_max_body_size=settings.max_body,
        )
    )


def _plugin_router(assembly: Assembly, routes: HookResult[Sequence[ControllerRouterHandler]]) -> Router:
    path, handlers = f"/x/{routes.plugin}", list(routes.value)
    try:
        # An application of the plugin's routes alone shows which plugin a mistake is in.
        router = Router(path=path, route_handlers=handlers)
        Litestar(route_handlers=[router], openapi_config=None, logging_config=None)
    except Exception as error:  # a handler that Litestar cannot read may raise anything
        raise assembly.plugins.error(routes.plugin, "hook", f"`routes`: {error}") from error
    return Router(path=path, route_handlers=handlers)


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_credentials="*" not in origins,  # browsers refuse credentials together with "*"
        allow_methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", "X-Domain-Key", "X-Requested-With"],
        expose_headers=["X-Request-Id", "Retry-After"],
        max_age=600,
    )
