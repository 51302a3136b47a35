"""The assembly: what the server is made of, decided once, at start-up."""

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
    """Everything the server needs. It never changes; new config, new process.

    Args:
        config: the config it was made of.
        installed: all installed plugins, by name.
        plugins: the enabled ones.
        store: where threads live.
        store_plugin: the plugin that gave it.
        authenticators: the ways in, in order; none means the local user on a loopback address.
        models: makes models; `create_model` is the way to it.
        tools: by address.
        agents: those that can be reached, by address.
        default_agent: the entry agent, which every conversation begins with.
        selectable: the models that users may choose, by the name they choose them by.
        transcriber: what turns speech into text, if anything does.
        actions: handlers by action type.
        user_data: what plugins keep about users.
        migrations: the histories of all tables.
        routes: by plugin.
        lifespans: what lives as long as the server, by plugin.
        notes: what the operator may want to know; nothing is wrong.
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
        """Make a model: `provider`, `provider/model`, or that of the entry agent if None."""
        return self.models.create(name or self.default_agent.model, key="chat.model").model


def assemble(
    path: Path, *, environ: Mapping[str, str] | None = None, server: Mapping[str, Any] | None = None
) -> Assembly:
    """Read config.toml and put the server together. Nothing is started or connected.

    Args:
        path: the config file.
        environ: the process environment; `os.environ` if None.
        server: values that take the place of those in `[server]`, from the command line.

    Raises:
        StartupError: something is wrong; every mistake has its line.
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
    authenticators = [one for given in plugins.authenticators(database) for one in given.value]
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
    problems.raise_if_any()  # what follows would only repeat what is missing
    return PluginManager(loaded, config.source.file), notes


def _providers(plugins: PluginManager, problems: Problems) -> dict[str, ModelProvider]:
    providers: dict[str, ModelProvider] = {}
    owners: dict[str, str] = {}
    for given in plugins.model_providers():
        for prefix, provider in given.value.items():
            if prefix in providers:
                problems.add(
                    "enabled",
                    f'plugins {owners[prefix]} and {given.plugin} both provide models under "{prefix}"; enable one',
                )
                continue
            providers[prefix] = provider
            owners[prefix] = given.plugin
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
    for given in plugins.tools(database):
        for tool in given.value:
            _add(registry, f"{given.plugin}.{tool.name}", tool, given.plugin, plugins, problems)
    return registry


def _specs(plugins: PluginManager, problems: Problems) -> Registry[AgentSpec]:
    registry: Registry[AgentSpec] = Registry("agent")
    for given in plugins.agents():
        for spec in given.value:
            _add(registry, f"{given.plugin}.{spec.name}", spec, given.plugin, plugins, problems)
    return registry


def _add(
    registry: Registry[Any],
    address: str,
    thing: object,
    plugin: str,
    plugins: PluginManager,
    problems: Problems,
) -> None:
    try:
        registry.add(address, thing)
    except NameLookupError as mistake:
        problems.add_error(plugins.error(plugin, "hook", str(mistake)))


def _actions(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> dict[str, ActionHandler]:
    actions: dict[str, ActionHandler] = {}
    for given in plugins.actions(database):
        for kind, handler in given.value.items():
            if not kind.startswith(f"{given.plugin}."):
                message = f'the action "{kind}" must be called "{given.plugin}.<verb>"'
                problems.add_error(plugins.error(given.plugin, "hook", message))
            actions[kind] = handler
    return actions


def _user_data(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[UserData]]:
    given = plugins.user_data(database)
    owners: dict[str, str] = {}
    for one in given:
        other = owners.setdefault(one.value.name, one.plugin)
        if other != one.plugin:
            message = f"plugin {other} gives user data under the name {one.value.name} too"
            problems.add_error(plugins.error(one.plugin, "hook", message))
    return given


def _migrations(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[Migrations]]:
    given = plugins.migrations(database)
    owners: dict[tuple[str, str], str] = {}
    for one in given:
        place = (str(one.value.database.url), one.value.version_table)
        other = owners.setdefault(place, one.plugin)
        if other != one.plugin:
            message = f"plugin {other} has the version table {one.value.version_table} too"
            problems.add_error(plugins.error(one.plugin, "hook", message))
    return given


def _check_exposure(config: Config, authenticated: bool, problems: Problems) -> None:
    host = config.server.host
    if authenticated or is_loopback(host):
        return
    problems.add(
        "server.host",
        f'"{host}" can be reached from other machines, and no enabled plugin gives an authenticator; '
        'enable one, or listen on "127.0.0.1"',
    )


def is_loopback(host: str) -> bool:
    """Tell whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
