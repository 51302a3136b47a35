"""The one place that calls hooks: one typed method a hook, every result checked and attributed."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

import msgspec
import pluggy
from litestar import Controller, Router
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ControllerRouterHandler

from chatrack.errors import ConfigError, PluginError, StartupError
from chatrack.hookspecs import HookSpecs
from chatrack.interfaces import (
    ActionHandler,
    AgentSpec,
    Authenticator,
    Migrations,
    ModelProvider,
    Store,
    Tool,
    UserData,
)
from chatrack.plugins.loading import Loaded

if TYPE_CHECKING:
    from chatrack.sql.database import Database

T = TypeVar("T")

_TOOL_TYPES = tuple(get_origin(kind) or kind for kind in get_args(Tool))


class HookResult(msgspec.Struct, Generic[T], frozen=True):
    """What one plugin gave.

    Args:
        plugin: the name of the plugin.
        value: the result of its hook.
    """

    plugin: str
    value: T


class PluginManager:
    """The loaded plugins, in the order of `enabled`.

    Args:
        loaded: what `load` returned.
        file: the name of the config file, for errors.
    """

    def __init__(self, loaded: Sequence[Loaded], file: str) -> None:
        self._file = file
        self.loaded = list(loaded)
        self._by_name = {plugin.name: plugin for plugin in loaded}
        self._manager = pluggy.PluginManager("chatrack")
        self._manager.add_hookspecs(HookSpecs)
        for plugin in loaded:
            self._manager.register(plugin.instance, name=plugin.name)

    def error(self, plugin: str, stage: Any, message: str) -> PluginError:
        """Make an error that names a plugin and its distribution."""
        return PluginError(plugin, stage, message, distribution=self._by_name[plugin].installed.source)

    def store(self) -> HookResult[Store]:
        """Ask for the store.

        Raises:
            StartupError: none or several enabled plugins give one.
        """
        given = self._call("store", Store)
        if not given:
            raise ConfigError(
                f"{self._file}: enabled: no enabled plugin gives a store; add one, such as sqlite_store"
            )
        if len(given) > 1:
            names = " and ".join(
                f"{one.plugin} ({self._by_name[one.plugin].installed.source})" for one in given
            )
            raise ConfigError(f"{self._file}: enabled: two stores, {names}; enable exactly one")
        return given[0]

    def authenticators(self, database: "Database | None") -> list[HookResult[Sequence[Authenticator]]]:
        """Ask for the ways in."""
        return self._call_sequence("authenticators", Authenticator, database=database)

    def model_providers(self) -> list[HookResult[Mapping[str, ModelProvider]]]:
        """Ask for the providers of models."""
        given = self._call("model_providers", Mapping)
        for one in given:
            for prefix, provider in one.value.items():
                if not isinstance(provider, ModelProvider):
                    raise self._wrong(
                        one.plugin, "model_providers", f"a ModelProvider for {prefix!r}", provider
                    )
        return given

    def tools(self, database: "Database | None") -> list[HookResult[Sequence[Tool]]]:
        """Ask for the tools."""
        given = self._call("tools", Sequence, database=database)
        for one in given:
            for tool in one.value:
                if not isinstance(tool, _TOOL_TYPES):
                    hint = " (decorate it with chatrack.function_tool)" if callable(tool) else ""
                    raise self._wrong(one.plugin, "tools", f"tools{hint}", tool)
        return given

    def agents(self) -> list[HookResult[Sequence[AgentSpec]]]:
        """Ask for the agents."""
        return self._call_sequence("agents", AgentSpec)

    def actions(self, database: "Database | None") -> list[HookResult[Mapping[str, ActionHandler]]]:
        """Ask for the action handlers."""
        given = self._call("actions", Mapping, database=database)
        for one in given:
            for kind, handler in one.value.items():
                if not inspect.iscoroutinefunction(handler):
                    raise self._wrong(one.plugin, "actions", f"an async function for {kind!r}", handler)
        return given

    def user_data(self, database: "Database | None") -> list[HookResult[UserData]]:
        """Ask for the export and purge of what is kept about users."""
        given = self._call("user_data", UserData, database=database)
        for one in given:
            name = getattr(one.value, "name", None)
            if not isinstance(name, str) or not name:
                raise self.error(one.plugin, "hook", "`user_data` must return a UserData with a `name`")
        return given

    def migrations(self, database: "Database | None") -> list[HookResult[Migrations]]:
        """Ask for the histories of tables."""
        return self._call("migrations", Migrations, database=database)

    def routes(self, database: "Database | None") -> list[HookResult[Sequence[ControllerRouterHandler]]]:
        """Ask for routes."""
        given = self._call("routes", Sequence, database=database)
        for one in given:
            for part in one.value:
                controller = isinstance(part, type) and issubclass(part, Controller)
                if not controller and not isinstance(part, BaseRouteHandler | Router):
                    raise self._wrong(one.plugin, "routes", "Litestar handlers", part)
        return given

    def lifespans(self) -> list[HookResult[AbstractAsyncContextManager[Any]]]:
        """Ask for what lives as long as the server."""
        return self._call("lifespan", AbstractAsyncContextManager)

    def _call_sequence(self, hook: str, kind: type[Any], **arguments: object) -> list[HookResult[Any]]:
        given = self._call(hook, Sequence, **arguments)
        for one in given:
            for part in one.value:
                if not isinstance(part, kind):
                    raise self._wrong(one.plugin, hook, f"a sequence of {kind.__name__}", part)
        return given

    def _call(self, hook: str, kind: Any, **arguments: object) -> list[HookResult[Any]]:
        # One implementation at a time, so that a failure has a name; pluggy's own loop gives a bare list.
        implementations = {
            impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()
        }
        results = []
        for plugin in self.loaded:
            impl = implementations.get(plugin.name)
            if impl is None:
                continue
            try:
                value = impl.function(**{name: arguments[name] for name in impl.argnames if name != "self"})
            except StartupError as error:
                raise self.error(plugin.name, "hook", f"`{hook}`: {'; '.join(error.lines)}") from error
            except Exception as error:
                raise self.error(plugin.name, "hook", f"`{hook}`: {type(error).__name__}: {error}") from error
            if inspect.iscoroutine(value):
                value.close()
                raise self._wrong(plugin.name, hook, kind.__name__, value)
            if value is None:
                continue
            if not isinstance(value, kind) or isinstance(value, str):
                raise self._wrong(plugin.name, hook, kind.__name__, value)
            results.append(HookResult(plugin.name, value))
        return results

    def _wrong(self, plugin: str, hook: str, wanted: str, got: object) -> PluginError:
        return self.error(plugin, "hook", f"`{hook}` must return {wanted}, got {type(got).__name__}")
