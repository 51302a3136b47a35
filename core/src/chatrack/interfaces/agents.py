"""Agents as plugins and config.toml describe them."""

from collections.abc import Sequence
from typing import Any

import msgspec


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, by names. It is bound to tools, models and other agents once all plugins are loaded.

    Args:
        name: unique within its plugin; its full name is `<plugin>.<name>`.
        instructions: the system prompt. `{user.id}`, `{user.name}`, `{user.email}`, `{user.tenant_id}` and
            `{today}` are filled in for each turn; any other brace stays as it is.
        description: what it is good for, for agents that can hand off to it.
        model: `provider` or `provider/model`; `[chat] model` if None.
        tools: tool names or globs (`todo_tools.*`); bare names do where they are unique.
        handoffs: names of agents it can hand the conversation to.
        model_settings: fields of the Agents SDK's `ModelSettings` (`temperature`, `tool_choice`, …).
        max_turns: how often the model may be called in one turn.
    """

    name: str
    instructions: str
    description: str | None = None
    model: str | None = None
    tools: Sequence[str] = ()
    handoffs: Sequence[str] = ()
    model_settings: dict[str, Any] = {}
    max_turns: int = 10
