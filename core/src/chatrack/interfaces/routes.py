"""HTTP routes of plugins."""

from collections.abc import Sequence

import msgspec
from litestar import Controller, Router
from litestar.handlers.base import BaseRouteHandler


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """Routes under a path of the plugin's own choice instead of `/x/<plugin>`.

    Args:
        prefix: the path that all of them begin with, such as `/auth`; no other plugin and no route of the core may be
            at, above or below it.
        handlers: Litestar handlers.
    """

    prefix: str
    handlers: Sequence[type[Controller] | BaseRouteHandler | Router]
