"""What the hooks of all plugins return, put together. Names that two plugins use are mistakes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatrack.assembly.names import NameLookupError, Registry
from chatrack.interfaces import (
    ActionHandler,
    AgentSpec,
    Authenticator,
    InputGuardrail,
    Migrations,
    ModelProvider,
    OutputGuardrail,
    Tool,
    UserData,
)
from chatrack.plugins import HookResult, PluginManager
from chatrack.settings import Problems

if TYPE_CHECKING:
    from chatrack.sql.database import Database


def collect_providers(plugins: PluginManager, problems: Problems) -> dict[str, ModelProvider]:
    """Return the model providers, by prefix."""
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


def collect_tools(plugins: PluginManager, database: "Database | None", problems: Problems) -> Registry[Tool]:
    """Return the tools."""
    registry: Registry[Tool] = Registry("tool")
    for result in plugins.tools(database):
        for tool in result.value:
            _add(registry, f"{result.plugin}.{tool.name}", tool, result.plugin, plugins, problems)
    return registry


def collect_agents(plugins: PluginManager, problems: Problems) -> Registry[AgentSpec]:
    """Return the specifications of the agents."""
    registry: Registry[AgentSpec] = Registry("agent")
    for result in plugins.agents():
        for spec in result.value:
            _add(registry, f"{result.plugin}.{spec.name}", spec, result.plugin, plugins, problems)
    return registry


def collect_guardrails(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> Registry[InputGuardrail | OutputGuardrail]:
    """Return the guardrails."""
    registry: Registry[InputGuardrail | OutputGuardrail] = Registry("guardrail")
    owners: dict[str, str] = {}
    for result in plugins.guardrails(database):
        for name, guardrail in result.value.items():
            owner = owners.setdefault(name, result.plugin)
            if owner != result.plugin:
                message = f'plugin {owner} has a guardrail "{name}" too; enable one'
                problems.add_error(plugins.error(result.plugin, "hook", f"`guardrails`: {message}"))
                continue
            _add(registry, f"{result.plugin}.{name}", guardrail, result.plugin, plugins, problems)
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


def collect_actions(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> dict[str, ActionHandler]:
    """Return the action handlers, by action type."""
    actions: dict[str, ActionHandler] = {}
    for result in plugins.actions(database):
        for action_type, handler in result.value.items():
            if not action_type.startswith(f"{result.plugin}."):
                message = f'the action "{action_type}" must be called "{result.plugin}.<verb>"'
                problems.add_error(plugins.error(result.plugin, "hook", message))
            actions[action_type] = handler
    return actions


def collect_user_data(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[UserData]]:
    """Return what exports and purges the data of users, by plugin."""
    results = plugins.user_data(database)
    owners: dict[str, str] = {}
    for result in results:
        owner = owners.setdefault(result.value.name, result.plugin)
        if owner != result.plugin:
            message = f"plugin {owner} has user data under the name {result.value.name} too"
            problems.add_error(plugins.error(result.plugin, "hook", message))
    return results


def collect_migrations(
    plugins: PluginManager, database: "Database | None", problems: Problems
) -> list[HookResult[Migrations]]:
    """Return the migrations of all tables, by plugin."""
    results = plugins.migrations(database)
    owners: dict[tuple[str, str], str] = {}
    for result in results:
        version_table = result.value.version_table
        owner = owners.setdefault((str(result.value.database.url), version_table), result.plugin)
        if owner != result.plugin:
            message = f"plugin {owner} has the version table {version_table} too"
            problems.add_error(plugins.error(result.plugin, "hook", message))
    return results


def find_entry_agents(
    authenticators: Sequence[Authenticator], specs: Registry[AgentSpec], problems: Problems
) -> dict[str, str]:
    """Return the addresses of the agents that authenticators name, by those names."""
    addresses = {}
    for name in dict.fromkeys(name for authenticator in authenticators for name in authenticator.agents):
        try:
            address = specs.address(name)
        except NameLookupError as error:
            problems.add("enabled", f"an authenticator's `agents`: {error}")
            continue
        if address is None:
            problems.add("enabled", f"an authenticator's `agents`: {specs.unknown(name)}")
        else:
            addresses[name] = address
    return addresses
