"""Calling hooks: a typed method for each hook. Every result is checked, and every failure names its plugin."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

import msgspec
import pluggy
from litestar import Controller, Router
from litestar.handlers.base import BaseRouteHandler

from chatrack.errors import ConfigError, PluginError, StartupError
from chatrack.hookspecs import HookSpecs
from chatrack.interfaces import (
    ActionHandler,
    AgentSpec,
    Authenticator,
    DeriveKey,
    FileStore,
    InputGuardrail,
    Migrations,
    ModelProvider,
    OutputGuardrail,
    Routes,
    Store,
    Tool,
    UserData,
)
from chatrack.plugins.loading import Loaded

if TYPE_CHECKING:
    from chatrack.sql.database import Database

T = TypeVar("T")

PLUGIN_ROUTES = "/x"
"""The path that the routes of a plugin are below, as `/x/<plugin>`, unless it names a prefix of its own."""

_TOOL_TYPES = tuple(get_origin(kind) or kind for kind in get_args(Tool))


class HookResult(msgspec.Struct, Generic[T], frozen=True):
    """The result of a hook of one plugin.

    Args:
        plugin: the name of the plugin.
        value: the result.
    """

    plugin: str
    value: T


class PluginManager:
    """The loaded plugins, in the order of `enabled`.

    Args:
        loaded: the plugins.
        file: the name of the config file, for errors.
        secrets: returns the secrets that the plugins' keys are derived from.
    """

    def __init__(
        self, loaded: Sequence[Loaded], file: str, *, secrets: Callable[[], Sequence[bytes]]
    ) -> None:
        self._file = file
        self._secrets = secrets
        self.loaded = list(loaded)
        self._by_name = {plugin.name: plugin for plugin in loaded}
        self._manager = pluggy.PluginManager("chatrack")
        self._manager.add_hookspecs(HookSpecs)
        for plugin in loaded:
            self._manager.register(plugin.instance, name=plugin.name)

    def error(self, plugin: str, stage: Any, message: str) -> PluginError:
        """Return an error that names a plugin and its distribution."""
        return PluginError(plugin, stage, message, distribution=self._by_name[plugin].installed.source)

    def store(self) -> HookResult[Store]:
        """Return the store.

        Raises:
            StartupError: no enabled plugin returns a store, or several do.
        """
        store = self._only("store", "stores", Store)
        if store is None:
            raise ConfigError(
                f"{self._file}: enabled: no enabled plugin is a store; add one, such as sqlite_store"
            )
        return store

    def file_store(self) -> HookResult[FileStore] | None:
        """Return the file store, if there is one.

        Raises:
            StartupError: several enabled plugins return a file store.
        """
        return self._only("file_store", "file stores", FileStore)

    def authenticators(self, database: "Database | None") -> list[HookResult[Sequence[Authenticator]]]:
        """Return the authenticators."""
        return self._call_sequence("authenticators", Authenticator, database=database)

    def model_providers(self) -> list[HookResult[Mapping[str, ModelProvider]]]:
        """Return the model providers."""
        results = self._call("model_providers", Mapping)
        for result in results:
            for prefix, provider in result.value.items():
                if not isinstance(provider, ModelProvider):
                    raise self._wrong(
                        result.plugin, "model_providers", f"a ModelProvider for {prefix!r}", provider
                    )
        return results

    def tools(self, database: "Database | None") -> list[HookResult[Sequence[Tool]]]:
        """Return the tools."""
        results = self._call("tools", Sequence, database=database)
        for result in results:
            for tool in result.value:
                if not isinstance(tool, _TOOL_TYPES):
                    hint = " (decorate it with chatrack.function_tool)" if callable(tool) else ""
                    raise self._wrong(result.plugin, "tools", f"tools{hint}", tool)
        return results

    def agents(self) -> list[HookResult[Sequence[AgentSpec]]]:
        """Return the agents."""
        return self._call_sequence("agents", AgentSpec)

    def guardrails(
        self, database: "Database | None"
    ) -> list[HookResult[Mapping[str, InputGuardrail | OutputGuardrail]]]:
        """Return the guardrails."""
        results = self._call("guardrails", Mapping, database=database)
        for result in results:
            for name, guardrail in result.value.items():
                if not isinstance(guardrail, InputGuardrail | OutputGuardrail):
                    wanted = f"an InputGuardrail or OutputGuardrail for {name!r}"
                    raise self._wrong(result.plugin, "guardrails", wanted, guardrail)
                for method in ("check_input", "check_output"):
                    check = getattr(guardrail, method, None)
                    if check is not None and not inspect.iscoroutinefunction(check):
                        message = f"`guardrails`: `{method}` of {name!r} must be an async method"
                        raise self.error(result.plugin, "hook", message)
        return results

    def actions(self, database: "Database | None") -> list[HookResult[Mapping[str, ActionHandler]]]:
        """Return the action handlers."""
        results = self._call("actions", Mapping, database=database)
        for result in results:
            for action_type, handler in result.value.items():
                if not inspect.iscoroutinefunction(handler):
                    raise self._wrong(
                        result.plugin, "actions", f"an async function for {action_type!r}", handler
                    )
        return results

    def user_data(self, database: "Database | None") -> list[HookResult[UserData]]:
        """Return what exports and purges the data of users."""
        results = self._call("user_data", UserData, database=database)
        for result in results:
            name = getattr(result.value, "name", None)
            if not isinstance(name, str) or not name:
                raise self.error(result.plugin, "hook", "`user_data` must return a UserData with a `name`")
        return results

    def migrations(self, database: "Database | None") -> list[HookResult[Migrations]]:
        """Return the migrations."""
        return self._call("migrations", Migrations, database=database)

    def routes(self, database: "Database | None") -> list[HookResult[Routes]]:
        """Return the HTTP routes, all with a prefix."""
        results = [
            HookResult(
                result.plugin,
                result.value
                if isinstance(result.value, Routes)
                else Routes(prefix=f"{PLUGIN_ROUTES}/{result.plugin}", handlers=result.value),
            )
            for result in self._call("routes", Sequence | Routes, database=database)
        ]
        for result in results:
            for route in result.value.handlers:
                is_controller = isinstance(route, type) and issubclass(route, Controller)
                if not is_controller and not isinstance(route, BaseRouteHandler | Router):
                    raise self._wrong(result.plugin, "routes", "Litestar handlers", route)
        return results

    def lifespans(self) -> list[HookResult[AbstractAsyncContextManager[Any]]]:
        """Return the context managers that are entered for as long as the server runs."""
        return self._call("lifespan", AbstractAsyncContextManager)

    def _only(self, hook: str, several: str, kind: Any) -> HookResult[Any] | None:
        results = self._call(hook, kind)
        if len(results) > 1:
            names = " and ".join(
                f"{result.plugin} ({self._by_name[result.plugin].installed.source})" for result in results
            )
            raise ConfigError(f"{self._file}: enabled: two {several}, {names}; enable exactly one")
        return results[0] if results else None

    def _call_sequence(self, hook: str, kind: type[Any], **arguments: object) -> list[HookResult[Any]]:
        results = self._call(hook, Sequence, **arguments)
        for result in results:
            for element in result.value:
                if not isinstance(element, kind):
                    raise self._wrong(result.plugin, hook, f"a sequence of {kind.__name__}", element)
        return results

    def _call(self, hook: str, kind: Any, **arguments: object) -> list[HookResult[Any]]:
        # Pluggy's own loop returns a list that does not say which plugin a result or an exception is from.
        implementations = {
            impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()
        }
        results = []
        for plugin in self.loaded:
            impl = implementations.get(plugin.name)
            if impl is None:
                continue
            offered = {"derive_key": DeriveKey(self._secrets, plugin.name), **arguments}
            try:
                value = impl.function(**{name: offered[name] for name in impl.argnames if name != "self"})
            except StartupError as error:
                raise self.error(plugin.name, "hook", f"`{hook}`: {'; '.join(error.lines)}") from error
            except Exception as error:
                raise self.error(plugin.name, "hook", f"`{hook}`: {type(error).__name__}: {error}") from error
            if inspect.iscoroutine(value):
                value.close()
                raise self._wrong(plugin.name, hook, _name_of(kind), value)
            if value is None:
                continue
            if not isinstance(value, kind) or isinstance(value, str):
                raise self._wrong(plugin.name, hook, _name_of(kind), value)
            results.append(HookResult(plugin.name, value))
        return results

    def _wrong(self, plugin: str, hook: str, wanted: str, got: object) -> PluginError:
        return self.error(plugin, "hook", f"`{hook}` must return {wanted}, got {type(got).__name__}")


def _name_of(kind: Any) -> str:
    return " or ".join(part.__name__ for part in get_args(kind) or (kind,))
