"""Placeholders in instructions, such as `{user.id}`, which are filled in for each turn."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from agents import RunContextWrapper

from chatrack.clock import now
from chatrack.interfaces import TurnContext

_PLACEHOLDER = re.compile(r"\{(user\.[^{}\s]*|state\.[A-Za-z0-9_.-]+|locale|today)\}")
_STATE = "state."
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MAX_VALUE = 1000
"""The longest value that is filled in, in characters. Users choose some of these values themselves."""

_VALUES: dict[str, Callable[[TurnContext], str]] = {
    "user.id": lambda turn: turn.user.id,
    "user.name": lambda turn: turn.user.name or turn.user.id,
    "user.email": lambda turn: turn.user.email or "",
    "user.tenant_id": lambda turn: turn.user.tenant_id,
    "user.roles": lambda turn: ", ".join(sorted(turn.user.roles)),
    "locale": lambda turn: turn.request.locale or "",
    "today": lambda _turn: now().date().isoformat(),
}


def unknown_placeholders(instructions: str) -> list[str]:
    """Return the placeholders that have no value. Other braces are ordinary text."""
    return [
        f"{{{name}}}"
        for name in _PLACEHOLDER.findall(instructions)
        if name not in _VALUES and not name.startswith(_STATE)
    ]


def with_placeholders(instructions: str) -> str | Callable[[RunContextWrapper[TurnContext], Any], str]:
    """Return instructions for the Agents SDK: the text, or a function that fills in its placeholders for each turn."""
    if not _PLACEHOLDER.search(instructions):
        return instructions

    def fill(context: RunContextWrapper[TurnContext], _agent: Any) -> str:
        # One pass: what is filled in is not searched for placeholders.
        return _PLACEHOLDER.sub(lambda match: _value(match.group(1), context.context), instructions)

    return fill


def _value(name: str, turn: TurnContext) -> str:
    """Return the value of a placeholder, on one line. State that the credentials do not have is empty."""
    if name.startswith(_STATE):
        state = turn.request.state.get(name.removeprefix(_STATE), "")
        value = state if isinstance(state, str) else msgspec.json.encode(state).decode()
    else:
        value = _VALUES[name](turn)
    return _CONTROL.sub(" ", value)[:_MAX_VALUE]
