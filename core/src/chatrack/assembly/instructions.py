"""Placeholders in instructions, such as `{user.id}`, which are filled in for each turn."""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec
from agents import RunContextWrapper

from chatrack.clock import now
from chatrack.interfaces import TurnContext

_PLACEHOLDER = re.compile(r"\{(user\.[^{}\s]*|state\.[A-Za-z0-9_.-]+|locale|today)\}")
_STATE = "state."
_TODAY = "today"
_MAX_VALUE = 1000
"""The longest value that is filled in, in characters. Users choose some of these values themselves."""

_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""They are invisible, and any text can be written in them."""

_VALUES: dict[str, Callable[[TurnContext], Any]] = {
    "user.id": lambda turn: turn.user.id,
    "user.name": lambda turn: turn.user.name or turn.user.id,
    "user.email": lambda turn: turn.user.email,
    "user.tenant_id": lambda turn: turn.user.tenant_id,
    "user.roles": lambda turn: sorted(turn.user.roles),
    "locale": lambda turn: turn.request.locale,
}


def unknown_placeholders(instructions: str) -> list[str]:
    """Return the placeholders that have no value. Other braces are ordinary text."""
    return [
        f"{{{name}}}"
        for name in _PLACEHOLDER.findall(instructions)
        if name not in _VALUES and name != _TODAY and not name.startswith(_STATE)
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
    """Return what stands for a placeholder: a value that somebody else has chosen is quoted, as JSON."""
    if name == _TODAY:
        return now().date().isoformat()
    if name.startswith(_STATE):
        return _quote(turn.request.state.get(name.removeprefix(_STATE)))
    return _quote(_VALUES[name](turn))


def _quote(value: Any) -> str:
    """Return a value as JSON on one line, in which nothing is invisible, ends the quotation or looks like markup.

    A value that is too long is cut, and is then a string.
    """
    if isinstance(value, str):
        quoted = _dump(_cut(value))
    else:
        quoted = _dump(msgspec.to_builtins(value))
        if len(quoted) > _MAX_VALUE:
            quoted = _dump(_cut(quoted))
    # Some models are told where the instructions end by tags such as `<|im_end|>`, which their users must not write.
    return quoted.replace("<", "\\u003c").replace(">", "\\u003e")


def _dump(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = _VARIATION_SELECTORS.sub("", text)
    if text.isprintable():
        return text
    # Dropped: control and format characters (which reorder text, or have no width), line separators, surrogates.
    return "".join(char for char in text if char.isprintable() or unicodedata.category(char) == "Zs")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
