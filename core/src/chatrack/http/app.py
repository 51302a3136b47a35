"""The ASGI application. Every call creates a new one; there is no global state."""

import re

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from chatrack.assembly import Assembly
from chatrack.chat.server import ChatrackServer
from chatrack.http.access import AccessLog
from chatrack.http.allowed_hosts import AllowedHosts
from chatrack.http.api import api_route
from chatrack.http.auth_guard import auth_guard
from chatrack.http.download import download_route
from chatrack.http.health import health_routes
from chatrack.http.problems import problem
from chatrack.http.upload import upload_routes
from chatrack.interfaces import Routes
from chatrack.plugins import PLUGIN_ROUTES, HookResult

_CORE_PATHS = ("/health", "/ready", PLUGIN_ROUTES)
_PREFIX = re.compile("(/[A-Za-z0-9._~-]+)+")


def create_app(server: ChatrackServer) -> ASGIApp:
    """Return a new application.

    Args:
        server: answers ChatKit requests. The caller starts its assembly.

    Raises:
        PluginError: the routes of a plugin cannot be mounted.
    """
    assembly = server.assembly
    settings = assembly.config.server
    _check_prefixes(assembly)
    plugin_routes = [_plugin_router(assembly, routes) for routes in assembly.routes]
    file_routes: list[HTTPRouteHandler] = []
    if assembly.files is not None:
        file_routes = [
            *upload_routes(assembly.files, settings.path, assembly.config.files.max_size),
            download_route(assembly.files, settings.path),
        ]
    app: ASGIApp = Litestar(
        route_handlers=[api_route(server), *file_routes, *health_routes(server), *plugin_routes],
        guards=[auth_guard(assembly.authenticators, settings, assembly.limits)],
        exception_handlers={Exception: problem},
        cors_config=_cors(settings.cors_origins),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=settings.max_body,
        debug=False,  # docs/upstream.md: debug-variable
    )
    if settings.allowed_hosts:
        app = AllowedHosts(app, settings.allowed_hosts)
    return AccessLog(app, settings)


def _check_prefixes(assembly: Assembly) -> None:
    """Refuse prefixes of plugins that overlap with each other or with paths of the core.

    Raises:
        PluginError: a prefix is no path, or another route is at, above or below it.
    """
    taken = dict.fromkeys((assembly.config.server.path, *_CORE_PATHS), "Chatrack itself")
    for routes in assembly.routes:
        prefix = routes.value.prefix
        if not _PREFIX.fullmatch(prefix):
            message = f'`routes`: the prefix "{prefix}" is not a path such as "/auth"'
            raise assembly.plugins.error(routes.plugin, "hook", message)
        own = f"{PLUGIN_ROUTES}/{routes.plugin}"
        for other, owner in taken.items():
            if prefix != own and _overlap(prefix, other):
                message = f'`routes`: the prefix "{prefix}" overlaps with "{other}" of {owner}'
                raise assembly.plugins.error(routes.plugin, "hook", message)
        taken[prefix] = f"plugin {routes.plugin}"


def _overlap(first: str, second: str) -> bool:
    return f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/")


def _plugin_router(assembly: Assembly, routes: HookResult[Routes]) -> Router:
    path, handlers = routes.value.prefix, list(routes.value.handlers)
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
        expose_headers=["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"],
        max_age=600,
    )
