"""Which of the offered tools a message means, and what to call it with."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatrack.builtin.demo.decision import Call, Decision, Say
from chatrack.builtin.demo.offers import Offer, Property, singular

PREFIXES: Mapping[str, Sequence[str]] = {
    "create": ("create", "add"),
    "list": ("list",),
    "complete": ("complete", "finish"),
    "delete": ("delete", "remove"),
    "change": ("update", "rename", "edit"),
}
"""How the names of tools begin that do what is ordered."""

GENERIC = {"todo", "task", "item", "list", "entry", "thing", "everything", "all"}
"""Words that mean the list, whatever the tool calls what is on it."""

_TO_AGENT = re.compile(
    r"(?P<strong>(?:talk|speak|chat)\s+(?:to|with)|hand\s+(?:me\s+|it\s+|this\s+|us\s+)?(?:over|off)\s+to|switch(?:\s+me)?\s+to"
    r"|transfer(?:\s+me|\s+this)?\s+to|(?:connect|put)\s+me\s+(?:through\s+)?(?:to|with))\b|(?:ask|tell)\b",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"\s*(?:(?:please|call|use|run|invoke|execute|the|tool|a|an|for|in|of|about|on|to|with|at|from|named|called)\b|[:,.`\"'])",
    re.IGNORECASE,
)
_CALLED = r"(?:call|use|run|invoke|execute)\s+(?:the\s+)?(?:tool\s+)?[`\"']?"


def kind_of(name: str) -> str | None:
    """Tell what a tool does by the beginning of its name, or None if that says nothing."""
    first = name.lower().partition("_")[0]
    return next((kind for kind, prefixes in PREFIXES.items() if first in prefixes), None)


def choose(kind: str, text: str, offered: Sequence[Offer]) -> Offer | None:
    """Choose the tool that does what is ordered; of several, the one whose noun is mentioned, else the first."""
    able = [one for one in offered if one.agent is None and kind_of(one.name) == kind and _fits(kind, one)]
    said = {singular(word) for word in re.findall(r"\w+", text.lower())}
    return max(able, key=lambda one: len(one.nouns & said), default=None)


def lister(offer: Offer, offered: Sequence[Offer]) -> Offer | None:
    """Find the tool that lists what another tool works on."""
    able = [one for one in offered if one.agent is None and kind_of(one.name) == "list" and not one.needed]
    related = [one for one in able if one.nouns & offer.nouns]
    return max(related, key=lambda one: len(one.nouns & offer.nouns), default=None)


def agent_in(text: str, offered: Sequence[Offer]) -> tuple[Offer | None, str, bool]:
    """Find the agent that the user wants to talk to.

    Returns:
        The way to it if there is one, what else was said, and whether another agent was clearly asked for.
    """
    start = _TO_AGENT.match(text)
    if start is None:
        return None, text, False
    rest = text[start.end() :]
    for offer in offered:
        if offer.agent is None:
            continue
        name = r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", offer.agent.strip())))
        match = re.match(
            rf"\s+(?:the\s+)?{name}\b(?:\s+agent\b)?[\s,:]*(?:(?:and|to)\s+)*", rest, re.IGNORECASE
        )
        if match:
            return offer, rest[match.end() :], True
    return None, text, start["strong"] is not None


def named(message: str, offered: Sequence[Offer]) -> Decision | None:
    """Find a tool that is called by its name, such as `use roll_dice {"sides": 6}`."""
    for offer in sorted(offered, key=lambda one: -len(one.name)):
        name = rf"(?<![\w-]){re.escape(offer.name)}(?![\w-])"
        # A name that is an ordinary word is a name only after a word such as `call`.
        match = re.search(name if "_" in offer.name else _CALLED + name, message)
        if match is None:
            continue
        rest = message[match.end() :]
        if "{" not in rest:
            return fill(offer, rest)
        try:
            values, _ = json.JSONDecoder().raw_decode(rest[rest.index("{") :])
        except (ValueError, RecursionError):
            return Say(not_json(offer))
        return Call(offer.name, values)
    return None


def described(text: str, offered: Sequence[Offer]) -> Decision | None:
    """Find a tool all of whose words are in a message, such as `roll the dice` for `roll_dice`."""
    said = [(match[0].lower(), match.end()) for match in re.finditer(r"\w+", text)]
    best: tuple[Offer, int] | None = None
    for offer in offered:
        ends = [next((end for word, end in said if word == wanted), None) for wanted in offer.words]
        if offer.agent is not None or not ends or None in ends:
            continue
        if best is None or len(offer.words) > len(best[0].words):
            best = offer, max(end for end in ends if end is not None)
    return fill(best[0], text[best[1] :]) if best else None


def fill(offer: Offer, rest: str) -> Decision:
    """Call a tool with what else was said, or say what it needs."""
    while match := _FILLER.match(rest):
        rest = rest[match.end() :]
    rest = rest.strip().rstrip("`\"'.!?")
    needed = offer.needed
    values: dict[str, Any] = {}
    if len(needed) == 1:
        value = _value(needed[0], rest)
        if value is not None:
            values[needed[0].name] = value
    if len(values) == len(needed):
        return Call(offer.name, values)
    return missing(offer)


def not_json(offer: Offer) -> str:
    """Say that the arguments for a tool cannot be read."""
    return f"What follows `{offer.name}` is not valid JSON. For example: `{example(offer)}`"


def missing(offer: Offer) -> Say:
    """Say what a tool needs that the user did not give."""
    names = ", ".join(f"`{one.name}`" for one in offer.needed)
    return Say(f"The tool `{offer.name}` needs {names}. For example: `{example(offer)}`")


def example(offer: Offer) -> str:
    """Give a message that calls a tool."""
    if not offer.needed:
        return " ".join(offer.words)
    values = {one.name: _sample(one) for one in offer.needed}
    return f"use {offer.name} {json.dumps(values, ensure_ascii=False)}"


def _fits(kind: str, offer: Offer) -> bool:
    if kind == "create":
        return offer.text is not None
    return bool(offer.needed) if kind in {"complete", "delete", "change"} else True


def _value(argument: Property, rest: str) -> Any:
    if argument.values:
        return next((one for one in argument.values if one.lower() in rest.lower()), None)
    if "integer" in argument.types or "number" in argument.types:
        number = re.search(r"-?\d{1,15}(?:\.\d{1,15})?", rest)
        if number is None:
            return None
        return float(number[0]) if "." in number[0] and "number" in argument.types else int(float(number[0]))
    return rest if rest and "string" in argument.types else None


def _sample(argument: Property) -> Any:
    if argument.values:
        return argument.values[0]
    if {"integer", "number"} & set(argument.types):
        return argument.bounds[1] if argument.bounds else 1
    if "boolean" in argument.types:
        return True
    if "array" in argument.types:
        return []
    return {} if "object" in argument.types else "…"
