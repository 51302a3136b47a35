"""What the user says beside the thing itself: a priority, a due date, a status."""

import re
from typing import Any

from chatrack.builtin.demo.offers import Offer, Property

_PRIORITY = re.compile(
    r"(?:,\s*)?\b(?:with\s+|at\s+|as\s+)?(?:a\s+)?priority\s*(?:of\s+|[:=]\s*)?(\d+)\b", re.IGNORECASE
)
_LEVEL = re.compile(
    r"(?:,\s*)?\b(?:with\s+|at\s+|as\s+)?(?:a\s+)?(high|medium|low)(?:est)?[ -]priority\b", re.IGNORECASE
)
_DUE = re.compile(
    r"(?:,\s*)?\b(?:due|by|until)\s+(?:on\s+|at\s+)?"
    r"(\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?)(?!\S*\d)",
    re.IGNORECASE,
)
_DUE_NAMES = {"due", "due_at", "due_on", "due_date", "deadline"}
_SAID = {
    "completed": ("complete", "done", "finished"),
    "done": ("completed", "complete", "finished"),
    "pending": ("open", "unfinished", "outstanding"),
    "open": ("pending", "unfinished", "outstanding"),
}


def take(text: str, offer: Offer, *, values: bool) -> tuple[dict[str, Any], str]:
    """Take from a text what has an argument of its own.

    Args:
        text: what the user said.
        offer: the tool whose arguments are to be filled.
        values: whether words may stand for the listed values of an argument, such as a status.

    Returns:
        The arguments, and the text without them.
    """
    found: dict[str, Any] = {}
    for argument in offer.properties.values():
        if argument.name == "priority":
            value, text = _priority(text, argument)
        elif argument.name in _DUE_NAMES and argument.is_text:
            match = _DUE.search(text)
            value, text = (match[1], _cut(text, match)) if match else (None, text)
        elif values and argument.values:
            value, text = _listed(text, argument)
        else:
            continue
        if value is not None:
            found[argument.name] = value
    return found, text


def _priority(text: str, argument: Property) -> tuple[Any, str]:
    number = _PRIORITY.search(text)
    if number and "integer" in argument.types and len(number[1]) < 10:
        return int(number[1]), _cut(text, number)
    level = _LEVEL.search(text)
    if level is None:
        return None, text
    word = level[1].lower()
    if word in argument.values:
        return word, _cut(text, level)
    if "integer" in argument.types and argument.bounds:
        low, high = argument.bounds
        return {"high": high, "medium": (low + high) // 2, "low": low}[word], _cut(text, level)
    return None, text


def _listed(text: str, argument: Property) -> tuple[Any, str]:
    for value in argument.values:
        for said in (value, *_SAID.get(value, ())):
            phrase = re.escape(said.replace("_", " ")).replace(r"\ ", r"[ _-]")
            match = re.search(rf"\b{phrase}\b", text, re.IGNORECASE)
            if match:
                return value, _cut(text, match)
    return None, text


def _cut(text: str, match: "re.Match[str]") -> str:
    return " ".join(f"{text[: match.start()]} {text[match.end() :]}".split()).strip(" ,")
