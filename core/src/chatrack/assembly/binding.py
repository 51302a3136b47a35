"""From `AgentSpec`s to agents of the Agents SDK: names of tools, models and handoffs are checked and resolved."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import agents
import msgspec
from agents.model_settings import ModelSettings
from pydantic import ValidationError

from chatrack.assembly.audited_tool import audited
from chatrack.assembly.guardrails import BoundGuardrail, check_settings, find_guardrails
from chatrack.assembly.instructions import unknown_placeholders, with_placeholders
from chatrack.assembly.models import ModelFactory
from chatrack.assembly.names import NameLookupError, Registry
from chatrack.config import AgentTable, ChatTable
from chatrack.errors import ConfigError
from chatrack.interfaces import AgentSpec, InputGuardrail, OutputGuardrail, Tool, TurnContext
from chatrack.settings import Problems, did_you_mean

_WIRE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

ASSISTANT = AgentSpec(name="assistant", instructions="You are a helpful assistant.", tools=["*"])
"""The entry agent if `[chat] agent` is absent and there is not exactly one agent."""


class BoundAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of the Agents SDK, with what it was created from.

    Args:
        address: `<plugin>.<name>`, or the name of an agent that config.toml defines.
        spec: its specification.
        agent: the Agents SDK's agent.
        model: the name of its model, `provider/model`.
        tools: the names of its tools on the wire, by address, in the order of the agent's.
        handoffs: the addresses of the agents that it can hand off to.
        guardrails: its guardrails, in the order in which they check.
    """

    address: str
    spec: AgentSpec
    agent: agents.Agent[TurnContext]
    model: str
    tools: Mapping[str, str]
    handoffs: Sequence[str]
    guardrails: Sequence[BoundGuardrail] = ()


def override(registry: Registry[AgentSpec], tables: Mapping[str, AgentTable], problems: Problems) -> None:
    """Apply the tables `[agents.<name>]`: each overrides fields of a plugin's agent or defines a new agent."""
    for name, table in tables.items():
        overrides = {
            field: value for field in table.__struct_fields__ if (value := getattr(table, field)) is not None
        }
        try:
            address = registry.address(name)
        except NameLookupError as error:
            problems.add(f"agents.{name}", str(error))
            continue
        if address is not None:
            registry.replace(address, msgspec.structs.replace(registry.items()[address], **overrides))
        elif table.instructions is None:
            problems.add(
                f"agents.{name}", f"{registry.unknown(name)}; to define a new one, give it `instructions`"
            )
        else:
            registry.add(name, AgentSpec(name=name, **overrides))


def default_agent_address(registry: Registry[AgentSpec], chat: ChatTable, problems: Problems) -> str | None:
    """Return the address of the entry agent; None if `[chat] agent` refers to no agent."""
    if chat.agent is not None:
        try:
            address = registry.address(chat.agent)
        except NameLookupError as error:
            problems.add("chat.agent", str(error))
            return None
        if address is None:
            problems.add("chat.agent", registry.unknown(chat.agent))
        return address
    if len(registry.items()) == 1:
        return next(iter(registry.items()))
    if registry.address(ASSISTANT.name) is None:
        registry.add(ASSISTANT.name, ASSISTANT)
    return registry.address(ASSISTANT.name)


def bind(
    registry: Registry[AgentSpec],
    tools: Registry[Tool],
    guardrails: Registry[InputGuardrail | OutputGuardrail],
    *,
    entry_agents: Sequence[str],
    tool_roles: Mapping[str, frozenset[str]],
    chat: ChatTable,
    models: ModelFactory,
    problems: Problems,
) -> dict[str, BoundAgent]:
    """Create the entry agents and all agents that they can reach by handoffs.

    The names of tools, handoffs and guardrails are checked in all agents. Models are created only for agents that can be reached, so
    that an unused agent needs no key.

    Args:
        registry: the agents.
        tools: the tools.
        guardrails: the guardrails.
        entry_agents: the addresses of the entry agents.
        tool_roles: the tools that are limited to some roles, by address.
        chat: has the default model.
        models: creates models.
        problems: gets every mistake.

    Returns:
        The agents that can be reached, by address.
    """
    tools_of: dict[str, dict[str, Tool]] = {}
    handoffs_of: dict[str, list[str]] = {}
    guardrails_of: dict[str, list[BoundGuardrail]] = {}
    for address, spec in registry.items().items():
        key = f"agents.{address}"
        tools_of[address] = {
            tool_address: audited(tool, tool_address) if tool_address in tool_roles else tool
            for tool_address, tool in _tools(spec, tools, key, problems).items()
        }
        handoffs_of[address] = _handoffs(spec, registry, key, problems)
        guardrails_of[address] = find_guardrails(spec, guardrails, key, problems)
        # A text would be taken for a list of letters, and an empty list would admit nobody.
        if spec.roles is not None and (isinstance(spec.roles, str) or not all(spec.roles or [""])):
            problems.add(f"{key}.roles", "expected one role or more; leave it out to admit everybody")
        if unknown := unknown_placeholders(spec.instructions):
            problems.add(f"{key}.instructions", f"unknown placeholder {', '.join(unknown)}")
    reachable = _reachable(entry_agents, handoffs_of)
    bound: dict[str, BoundAgent] = {}
    for address in reachable:
        agent = _bind_one(
            address,
            registry.items()[address],
            tools_of[address],
            handoffs_of[address],
            guardrails_of[address],
            chat=chat,
            models=models,
            problems=problems,
        )
        if agent is not None:
            bound[address] = agent
    for address, bound_agent in bound.items():
        bound_agent.agent.handoffs = [
            bound[target].agent for target in handoffs_of[address] if target in bound
        ]
        targets = [(target, bound[target].agent) for target in handoffs_of[address] if target in bound]
        _check_wire_names(address, tools_of[address], targets, problems)
    return bound


def _tools(spec: AgentSpec, tools: Registry[Tool], key: str, problems: Problems) -> dict[str, Tool]:
    if spec is ASSISTANT and not tools.items():
        return {}  # its "*" matches nothing if no plugin has tools
    return tools.match_all(spec.tools, f"{key}.tools", problems)


def _handoffs(spec: AgentSpec, registry: Registry[AgentSpec], key: str, problems: Problems) -> list[str]:
    addresses = []
    for name in spec.handoffs:
        try:
            address = registry.address(name)
        except NameLookupError as error:
            problems.add(f"{key}.handoffs", str(error))
            continue
        if address is None:
            problems.add(f"{key}.handoffs", registry.unknown(name))
        else:
            addresses.append(address)
    return list(dict.fromkeys(addresses))


def _reachable(entry_agents: Sequence[str], handoffs: Mapping[str, list[str]]) -> list[str]:
    order = list(dict.fromkeys(entry_agents))
    queue = list(order)
    while queue:
        for target in handoffs[queue.pop(0)]:
            if target not in order:
                order.append(target)
                queue.append(target)
    return order


def _bind_one(
    address: str,
    spec: AgentSpec,
    tools: Mapping[str, Tool],
    handoffs: Sequence[str],
    guardrails: list[BoundGuardrail],
    *,
    chat: ChatTable,
    models: ModelFactory,
    problems: Problems,
) -> BoundAgent | None:
    key = f"agents.{address}"
    name, model_key = (spec.model, f"{key}.model") if spec.model else (chat.model, "chat.model")
    if not name:
        problems.add("chat.model", f'not set, and the agent "{address}" has no model of its own')
        return None
    try:
        model = models.create(name, key=model_key)
    except ConfigError as error:
        problems.add_error(error)
        return None
    settings = _model_settings(spec, f"{key}.model_settings", problems)
    if settings is None:
        return None
    check_settings(guardrails, key, problems)
    instructions: str | Callable[[Any, Any], str] = with_placeholders(spec.instructions)
    return BoundAgent(
        address=address,
        spec=spec,
        model=model.name,
        tools={address: tool.name for address, tool in tools.items()},
        handoffs=handoffs,
        guardrails=guardrails,
        agent=agents.Agent[TurnContext](
            name=spec.name,
            instructions=instructions,
            handoff_description=spec.description,
            model=model.model,
            model_settings=settings,
            tools=list(tools.values()),
        ),
    )


def _model_settings(spec: AgentSpec, key: str, problems: Problems) -> ModelSettings | None:
    known = {field.name for field in dataclasses.fields(ModelSettings)}
    unknown = [name for name in spec.model_settings if name not in known]
    for name in unknown:
        problems.add(f"{key}.{name}", f"unknown key{did_you_mean(name, known)}")
    if unknown:
        return None
    try:
        return ModelSettings(**spec.model_settings)
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False, include_context=False):
            problems.add(f"{key}.{mistake['loc'][0]}", mistake["msg"])
        return None


def _check_wire_names(
    address: str, tools: Mapping[str, Tool], handoffs: list[tuple[str, agents.Agent[Any]]], problems: Problems
) -> None:
    # For equal names the SDK only logs a warning and uses the last one. In handoffs it treats `-` and `_` as equal.
    # OpenAI's API refuses names that do not match.
    taken: dict[str, str] = {}
    names = [(tool.name, f"the tool {tool_address}") for tool_address, tool in tools.items()]
    names += [
        (agents.Handoff.default_tool_name(agent), f"the handoff to {target}") for target, agent in handoffs
    ]
    for name, owner in names:
        if not _WIRE_NAME.fullmatch(name):
            problems.add(
                f"agents.{address}",
                f'{owner} would be called "{name}"; a tool name has 1 to 64 characters of A-Z a-z 0-9 _ -',
            )
        other = taken.setdefault(name.replace("-", "_"), owner)
        if other != owner:
            problems.add(f"agents.{address}", f'{other} and {owner} would both be called "{name}"')
