"""The assembly: all parts of the server, put together once, at start-up."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from chatrack.assembly.agents_by_role import AgentsByRole
from chatrack.assembly.binding import BoundAgent, bind, default_agent_address, override
from chatrack.assembly.hook_results import (
    collect_actions,
    collect_agents,
    collect_guardrails,
    collect_migrations,
    collect_providers,
    collect_tools,
    collect_user_data,
    find_entry_agents,
)
from chatrack.assembly.models import ModelFactory, NamedModel, NamedTranscriber
from chatrack.assembly.secret_key import SECRET_KEY_FILE, SecretKey
from chatrack.assembly.tool_roles import required_roles
from chatrack.config import ChatTable, Config, load_config
from chatrack.errors import ConfigError
from chatrack.files.files import Files
from chatrack.files.links import FileLinks, base_url
from chatrack.interfaces import (
    ActionHandler,
    Authenticator,
    DeriveKey,
    FileStore,
    InputGuardrail,
    Migrations,
    Model,
    OutputGuardrail,
    RequestContext,
    Routes,
    Store,
    Tool,
    UserData,
    is_loopback,
)
from chatrack.limits import Limits
from chatrack.plugins import HookResult, Installed, PluginManager, discover, load
from chatrack.settings import Problems, did_you_mean


class Assembly(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of the server. It never changes: a new config takes effect in a new process.

    Args:
        config: the config file.
        installed: all installed plugins, by name.
        plugins: the enabled plugins.
        store: the store.
        store_plugin: the name of the plugin that returned it.
        file_store: the file store, and the plugin that returned it; None if the server takes no files.
        files: the files over that store.
        authenticators: the authenticators, in the order in which they are tried. Without any, every request is the local
            user's.
        limits: refuses what is beyond `[limits]`.
        models: creates models.
        tools: the tools, by address.
        guardrails: the guardrails, by address.
        agents: the entry agents and all agents that they can reach by handoffs, by address.
        agents_by_role: the agents that a user with given roles may talk to.
        default_agent: the entry agent of requests whose credentials are not bound to one.
        entry_agents: the addresses of the agents that authenticators name, by those names.
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
    file_store: HookResult[FileStore] | None
    files: Files | None
    authenticators: Sequence[Authenticator]
    limits: Limits
    models: ModelFactory
    tools: Mapping[str, Tool]
    guardrails: Mapping[str, InputGuardrail | OutputGuardrail]
    agents: Mapping[str, BoundAgent]
    agents_by_role: AgentsByRole
    default_agent: BoundAgent
    entry_agents: Mapping[str, str]
    selectable: Mapping[str, NamedModel]
    transcriber: NamedTranscriber | None
    actions: Mapping[str, ActionHandler]
    user_data: Sequence[HookResult[UserData]]
    migrations: Sequence[HookResult[Migrations]]
    routes: Sequence[HookResult[Routes]]
    lifespans: Sequence[HookResult[AbstractAsyncContextManager[Any]]]
    notes: Sequence[str]

    def entry_agent(self, context: RequestContext) -> str:
        """Return the address of the entry agent of a request.

        Raises:
            ValueError: an authenticator bound the request to an agent that its `agents` does not name.
        """
        if context.agent is None:
            return self.default_agent.address
        address = self.entry_agents.get(context.agent)
        if address is None:
            raise ValueError(
                f'an authenticator returned the agent "{context.agent}", which its `agents` does not name'
            )
        return address

    def create_model(self, name: str | None = None) -> Model:
        """Return a new model.

        Args:
            name: `provider` or `provider/model`; the model of the entry agent if None.

        Raises:
            ConfigError: there is no such model, or its provider lacks a setting.
        """
        return self.models.create(name or self.default_agent.model, key="chat.model").model


def assemble(
    path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    server: Mapping[str, Any] | None = None,
    create_secret_key: bool = False,
) -> Assembly:
    """Read config.toml and assemble the server. Nothing is started or connected.

    Args:
        path: the config file.
        environ: the process environment; `os.environ` if None.
        server: settings of `[server]` from the command line, which override those in the file.
        create_secret_key: whether a `secret_key` that is absent and needed is generated for good. If not, it is
            forgotten when the process ends.

    Raises:
        StartupError: the config or a plugin has mistakes; there is a line for each.
    """
    config, problems = load_config(path, environ)
    if server:
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **server))
    installed = discover()
    secret_key = SecretKey(
        config.server.secret_key, config.source.folder / SECRET_KEY_FILE, create_secret_key
    )
    plugins, notes = _plugins(config, installed, secret_key, problems)
    store = plugins.store()
    database = store.value.database
    file_store = plugins.file_store()

    providers = collect_providers(plugins, problems)
    tools = collect_tools(plugins, database, problems)
    guardrails = collect_guardrails(plugins, database, problems)
    specs = collect_agents(plugins, problems)
    override(specs, config.agents, problems)
    models = ModelFactory(providers, config.source.file)
    default_agent = default_agent_address(specs, config.chat, problems)
    authenticators = [
        authenticator for result in plugins.authenticators(database) for authenticator in result.value
    ]
    entry_agents = find_entry_agents(authenticators, specs, problems)
    tool_roles = required_roles(config.tools, tools, problems)
    bound = (
        bind(
            specs,
            tools,
            guardrails,
            entry_agents=[default_agent, *entry_agents.values()],
            tool_roles=tool_roles,
            chat=config.chat,
            models=models,
            problems=problems,
        )
        if default_agent
        else {}
    )
    selectable = _selectable(models, config.chat, problems)
    transcriber = _transcriber(models, config.chat, problems)
    actions = collect_actions(plugins, database, problems)
    user_data = collect_user_data(plugins, database, problems)
    migrations = collect_migrations(plugins, database, problems)
    limits = _limits(config, problems)
    _check_exposure(config, bool(authenticators), notes, problems)
    problems.raise_if_any()
    assert default_agent is not None
    assert limits is not None
    return Assembly(
        config=config,
        installed=installed,
        plugins=plugins,
        store=store.value,
        store_plugin=store.plugin,
        file_store=file_store,
        files=None if file_store is None else _files(config, file_store.value, store.value, secret_key),
        authenticators=authenticators,
        limits=limits,
        models=models,
        tools=tools.items(),
        guardrails=guardrails.items(),
        agents=bound,
        agents_by_role=AgentsByRole(bound, tool_roles),
        default_agent=bound[default_agent],
        entry_agents=entry_agents,
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
    config: Config, installed: Mapping[str, Installed], secret_key: SecretKey, problems: Problems
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
    return PluginManager(loaded, config.source.file, secrets=secret_key.secrets), notes


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


def _files(config: Config, file_store: FileStore, store: Store, secret_key: SecretKey) -> Files:
    keys = DeriveKey(secret_key.secrets, "[files]").all("urls")
    links = FileLinks(keys, base_url(config.server), config.files.url_ttl)
    return Files(file_store, store, config.files, links)


def _limits(config: Config, problems: Problems) -> Limits | None:
    try:
        return Limits(config.limits, file=config.source.file)
    except ConfigError as error:
        problems.add_error(error)
        return None


def _check_exposure(config: Config, authenticated: bool, notes: list[str], problems: Problems) -> None:
    server = config.server
    if authenticated:
        if server.allow_anonymous:
            notes.append("[server] allow_anonymous is ignored: there is an authenticator")
    elif not server.allow_anonymous and not is_loopback(server.host):
        problems.add(
            "server.host",
            f'"{server.host}" can be reached from other machines, and no enabled plugin has an authenticator; '
            'enable one, such as jwt_auth, or listen on "127.0.0.1"; '
            "`allow_anonymous = true` in [server] admits everybody as one user",
        )
