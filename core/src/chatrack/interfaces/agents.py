"""Specifications of agents, by plugins and config.toml."""

from collections.abc import Sequence
from typing import Any

import msgspec


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of an agent. Tools, models and handoffs are names, resolved when all plugins are loaded.

    Args:
        name: the name, unique within its plugin. The full name is `<plugin>.<name>`.
        instructions: the system prompt. `{user.id}`, `{user.name}`, `{user.email}`, `{user.tenant_id}`,
            `{user.roles}`, `{locale}`, `{state.<name>}` and `{today}` are filled in for each turn, quoted as JSON.
            Other braces are ordinary text.
        description: what the agent is for. Agents that can hand off to it read this.
        model: `provider` or `provider/model`; `[chat] model` if None.
        tools: names or globs (`todo_tools.*`) of its tools. A bare name is enough where it is unique.
        handoffs: names of the agents that it can hand the conversation off to.
        guardrails: names or globs of the guardrails that check what users send to it and what it answers, in this
            order.
        model_settings: fields of the Agents SDK's `ModelSettings` (`temperature`, `tool_choice`, …).
        max_turns: how often the model may be called in one turn.
        roles: the roles of which a user needs one to talk to the agent; None if everybody may.
    """

    name: str
    instructions: str
    description: str | None = None
    model: str | None = None
    tools: Sequence[str] = ()
    handoffs: Sequence[str] = ()
    guardrails: Sequence[str] = ()
    model_settings: dict[str, Any] = {}
    max_turns: int = 10
    roles: Sequence[str] | None = None
