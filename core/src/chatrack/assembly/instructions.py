"""Placeholders in instructions, such as `{user.id}`, which are filled in for each turn."""

import re
from collections.abc import Callable
from typing import Any

from agents import RunContextWrapper

from chatrack.clock import now
from chatrack.interfaces import TurnContext

_PLACEHOLDER = re.compile(r"\{(user\.[A-Za-z_]+|today)\}")

_VALUES: dict[str, Callable[[TurnContext], str]] = {
    "user.id": lambda turn: turn.user.id,
    "user.name": lambda turn: turn.user.name or turn.user.id,
    "user.email": lambda turn: turn.user.email or "",
    "user.tenant_id": lambda turn: turn.user.tenant_id,
    "today": lambda _turn: now().date().isoformat(),
}


def unknown_placeholders(instructions: str) -> list[str]:
    """Return the placeholders that have no value. Other braces are ordinary text."""
    return [f"{{{name}}}" for name in _PLACEHOLDER.findall(instructions) if name not in _VALUES]


def with_placeholders(instructions: str) -> str | Callable[[RunContextWrapper[TurnContext], Any], str]:
    """Return instructions for the Agents SDK: the text, or a function that fills in its placeholders for each turn."""
    if not _PLACEHOLDER.search(instructions):
        return instructions

    def fill(context: RunContextWrapper[TurnContext], _agent: Any) -> str:
        return _PLACEHOLDER.sub(lambda match: _VALUES[match.group(1)](context.context), instructions)

    return fill
