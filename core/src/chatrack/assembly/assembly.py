"""The assembly: all parts of the server, put together once, at start-up."""

import ipaddress
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ControllerRouterHandler

from chatrack.assembly.binding import BoundAgent, bind, default_agent_address, override
from chatrack.assembly.models import ModelFactory, NamedModel, NamedTranscriber
from chatrack.assembly.names import NameLookupError, Registry
from chatrack.config import ChatTable, Config, load_config
from chatrack.errors import ConfigError
from chatrack.interfaces import (
    ActionHandler,
    AgentSpec,
    Authenticator,
    Migrations,
    Model,
    ModelProvider,
    Store,
    Tool,
    UserData,
)
from chatrack.plugins import HookResult, Installed, PluginManager, discover, load
from chatrack.settings import Problems, did_you_mean

if TYPE_CHECKING:
    from chatrack.sql.database import Database


class Assembly(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of the server. It never changes: a new config takes effect in a new process.

    Args:
        config: the config file.
        installed: all installed plugins, by name.
        plugins: the enabled plugins.
        store: the store.
        store_plugin: the name of the plugin that returned it.
        authenticators: the authenticators, in the order in which they are tried. Without any, every request on a
            loopback address is the local user's.
        models: creates models.
        tools: the tools, by address.
        agents: the entry agent and all agents that it can reach by handoffs, by address.
        default_agent: the entry agent.
        selectable: the models that users may choose, by the name that the client sends.
        transcriber: turns speech into text; None if there is no dictation.
        actions: the action handlers, by action type.
        user_data: exports and purges the data of users, by plugin.
        migrations: the migrations of all tables, by plugin.
        routes: the HTTP routes, by plugin.
        lifespans: the context managers that are entered while the server runs, by plugin.
        notes: remarks for the operator; none is a mistake.
    """

    config: Config
    installed: Mapping[str, Installed]
    plugins: PluginManager
    store: Store
    store_plugin: str
    authenticators: Sequence[Authenticator]
    models: ModelFactory
    tools: Mapping[str, Tool]
    agents: Mapping[str, BoundAgent]
    default_agent: BoundAgent
    selectable: Mapping[str, NamedModel]
    transcriber: NamedTranscriber | None
    actions: Mapping[str, ActionHandler]
    user_data: Sequence[HookResult[UserData]]
    migrations: Sequence[HookResult[Migrations]]
    routes: Sequence[HookResult[Sequence[ControllerRouterHandler]]]
    lifespans: Sequence[HookResult[AbstractAsyncContextManager[Any]]]
    notes: Sequence[str]

    def create_model(self, name: str | None = None) -> Model:
        """Return a new model.

        Args:
            name: `provider` or `provider/model`; the model of the entry agent if None.

        Raises:
            ConfigError: there is no such model, or its provider lacks a setting.
        """
        return self.models.create(name or self.default_agent.model, key="chat.model").model


def assemble(
    path: Path, *, environ: Mapping[str, str] | None = None, server: Mapping[str, Any] | None = None
) -> Assembly:
    """Read config.toml and assemble the server. Nothing is started or connected.

    Args:
        path: the config file.
        environ: the process environment; `os.environ` if None.
        server: settings of `[server]` from the command line, which override those in the file.

    Raises:
        StartupError: the config or a plugin has mistakes; there is a line for each.
    """
    config, problems = load_config(path, environ)
    if server:
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **server))
    installed = discover()
    plugins, notes = _plugins(config, installed, problems)
    store = plugins.store()
    database = store.value.database

    providers = _providers(plugins, problems)
    tools = _tools(plugins, database, problems)
    specs = _specs(plugins, problems)
    override(specs, config.agents, problems)
    models = ModelFactory(providers, config.source.file)
    default_agent = default_agent_address(specs, config.chat, problems)
    bound = (
        bind(specs, tools, default_agent=default_agent, chat=config.chat, models=models, problems=problems)
        if default_agent
        else {}
    )
    selectable = _selectable(models, config.chat, problems)
    transcriber = _transcriber(models, config.chat, problems)
    actions = _actions(plugins, database, problems)
    user_data = _user_data(plugins, database, problems)
    migrations = _migrations(plugins, database, problems)
    authenticators = [
        authenticator for result in plugins.authenticators(database) for authenticator in result.value
    ]
    _check_exposure(config, bool(authenticators), problems)
    problems.raise_if_any()
    assert default_agent is not None
    return Assembly(
        config=config,
        installed=installed,
        plugins=plugins,
        store=store.value,
        store_plugin=store.plugin,
        authenticators=authenticators,
        models=models,
        tools=tools.items(),
        agents=bound,
        default_agent=bound[default_agent],
        selectable=selectable,
        transcriber=transcriber,
        actions=actions,
        user_data=user_data,
        migrations=migrations,
        routes=plugins.routes(database),
        lifespans=plugins.lifespans(),
        notes=notes,
    )


def _plugins(
    config: Config, installed: Mapping[str, Installed], problems: Problems
) -> tuple[PluginManager, list[str]]:
    notes = []
    for name in config.plugins:
        if name in config.enabled:
            continue
        if name in installed:
            notes.append(f"[plugins.{name}] is ignored: the plugin is installed but not enabled")
        else:
            problems.add(f"plugins.{name}", f"no such plugin is installed{did_you_mean(name, installed)}")
    loaded = load(
        config.enabled, config.plugins, installed=installed, source=config.source, problems=problems
    )
    problems.raise_if_any()  # a missing plugin would lead to more mistakes, which say nothing new
    return PluginManager(loaded, config.source.file), notes


def _providers(plugins: PluginManager, problems: Problems) -> dict[str, ModelProvider]:
    providers: dict[str, ModelProvider] = {}
    owners: dict[str, str] = {}
    for result in plugins.model_providers():
        for prefix, provider in result.value.items():
            if prefix in providers:
                problems.add(
                    "enabled",
                    f'plugins {owners[prefix]} and {result.plugin} both provide models under "{prefix}"; enable one',
                )
                continue
            providers[prefix] = provider
            owners[prefix] = result.plugin
    return providers


def _selectable(models: ModelFactory, chat: ChatTable, problems: Problems) -> dict[str, NamedModel]:
    selectable = {}
    for name in chat.selectable_models:
        try:
            selectable[name] = models.create(name, key="chat.selectable_models")
        except ConfigError as error:
            problems.add_error(error)
    return selectable


def _transcriber(models: ModelFactory, chat: ChatTable, problems: Problems) -> NamedTranscriber | None:
    if chat.transcription_model is None:
        return None
    try:
        return models.transcriber(chat.transcription_model, key="chat.transcription_model")
    except ConfigError as error:
        problems.add_error(error)
        return None


def _tools(plugins: PluginManager, database: "Database | None", problems: Problems) -> Registry[Tool]:
    registry: Registry[Tool] = Registry("tool")
    for result in plugins.tools(database):
        for tool in result.value:
            _add(registry, f"{result.plugin}.{tool.name}", tool, result.plugin, plugins, problems)
    return registry


def _specs(plugins: PluginManager, problems: Problems) -> Registry[AgentSpec]:
    registry: Registry[AgentSpec] = Registry("agent")
    for result in plugins.agents():
        for spec in result.value:
            _add(registry, f"{result.plugin}.{spec.name}", spec, result.plugin, plugins, problems)
    return registry


def _add(
    registry: Registry[Any],
    address: str,
    entry: object,
    plugin: str,
    plugins: PluginManager,
    problems: Problems,
) -> None:
    try:
        registry.add(address, entry)
    except NameLookupError as error:
        problems.add_error(plugins.error(plugin, "hook", str(error)))


def _actions(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> dict[str, ActionHandler]:
    actions: dict[str, ActionHandler] = {}
    for result in plugins.actions(database):
        for action_type, handler in result.value.items():
            if not action_type.startswith(f"{result.plugin}."):
                message = f'the action "{action_type}" must be called "{result.plugin}.<verb>"'
                problems.add_error(plugins.error(result.plugin, "hook", message))
            actions[action_type] = handler
    return actions


def _user_data(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[UserData]]:
    results = plugins.user_data(database)
    owners: dict[str, str] = {}
    for result in results:
        owner = owners.setdefault(result.value.name, result.plugin)
        if owner != result.plugin:
            message = f"plugin {owner} has user data under the name {result.value.name} too"
            problems.add_error(plugins.error(result.plugin, "hook", message))
    return results


def _migrations(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[Migrations]]:
    results = plugins.migrations(database)
    owners: dict[tuple[str, str], str] = {}
    for result in results:
        version_table = result.value.version_table
        owner = owners.setdefault((str(result.value.database.url), version_table), result.plugin)
        if owner != result.plugin:
            message = f"plugin {owner} has the version table {version_table} too"
            problems.add_error(plugins.error(result.plugin, "hook", message))
    return results


def _check_exposure(config: Config, authenticated: bool, problems: Problems) -> None:
    host = config.server.host
    if authenticated or is_loopback(host):
        return
    problems.add(
        "server.host",
        f'"{host}" can be reached from other machines, and no enabled plugin has an authenticator; '
        'enable one, or listen on "127.0.0.1"',
    )


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
