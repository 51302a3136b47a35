"""Decides what comes next in a conversation: a reply, or calls of tools."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from chatrack.builtin.demo import parser, replies
from chatrack.builtin.demo.parser import TITLES, Conversation, ToolResult, title_of
from chatrack.builtin.demo.tool_specs import ToolSpec

_GREETING = r"(?i)\s*(?:$|(?:hi|hello|hey|help|good \w+|how are you|(?:what|who) (?:can|do|are) you)\b)"
_NUMBER = r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?"
_MAX_LOOKUPS = 10


class Call(NamedTuple):
    """A call of a tool."""

    tool: str
    arguments: Mapping[str, Any] = {}


Decision: TypeAlias = str | list[Call]
"""What to say, or what to call at once."""


def decide(conversation: Conversation, instructions: str, specs: Sequence[ToolSpec]) -> Decision:
    """Return what comes next; always the same for the same conversation, instructions and tools."""
    message, results, earlier = conversation
    if not specs and not results and re.search(r"\btitle\b", instructions):
        return replies.title(message)
    if echo := re.fullmatch(r"\s*echo: ?(.*\S.*)", message, re.DOTALL):
        return echo[1]
    if message.strip() == "history?":
        return replies.quote(earlier) or "No tool was called yet."
    handoff = results[-1].data if results else None
    if isinstance(handoff, dict) and list(handoff) == ["assistant"]:
        return replies.introduction(f"You are talking to {handoff['assistant']} now.", specs)
    if calls := parser.parse_calls(message):
        return replies.quote(results) or _spelled_out(calls, specs)
    found = parser.find_tool(message, specs)
    if found and (decision := _use(*found, results, specs)):
        return decision
    if results:
        return replies.report(results[-1])
    if re.match(_GREETING, message):
        return replies.introduction("Hello!", specs)
    return replies.not_understood(specs)


def _spelled_out(calls: Sequence[tuple[str, str]], specs: Sequence[ToolSpec]) -> Decision:
    by_name = {spec.name: spec for spec in specs}
    decision = []
    for name, arguments in calls:
        # Users know a tool by its address, `<plugin>.<tool>`; a model is shown only the last part.
        spec = by_name.get(name) or by_name.get(name.rpartition(".")[2])
        if spec is None:
            return replies.unknown_tool(name, list(by_name))
        try:
            decision.append(Call(spec.name, json.loads(arguments)))
        except ValueError:
            return replies.incomplete(f"What follows `{spec.name}` is not valid JSON.", spec)
    return decision


def _use(
    spec: ToolSpec, text: str, results: Sequence[ToolResult], specs: Sequence[ToolSpec]
) -> Decision | None:
    """Return the next step in using a tool with the user's words; None after the last step."""
    # Users know entries by their titles: for a tool that takes an id, the entries are listed first.
    key = next((name for name in spec.required if name.endswith("id")), "")
    lists = [other for other in specs if (other.action, other.noun) == ("list", spec.noun)]
    lookup = lists[0] if key and lists else None
    if results:
        if lookup is None or results[-1].tool != lookup.name or results[-1].entries is None:
            return None
        return _act_on_entry(text, key, spec, lookup, results)
    if lookup and text and (spec.action != "update" or " to " in text):
        return [Call(lookup.name)]
    if not spec.required:
        return [Call(spec.name)]
    (name, kind), *others = spec.required.items()
    number = re.search(_NUMBER, text) if kind in {"integer", "number"} else None
    value = json.loads(number[0]) if number else text if kind == "string" else ""
    if lookup or others or value == "":
        return replies.incomplete("I need to know more.", spec)
    return [Call(spec.name, {name: value})]


def _act_on_entry(
    text: str, key: str, spec: ToolSpec, lookup: ToolSpec, results: Sequence[ToolResult]
) -> Decision:
    """Return the call for the entry that a text names; if there is none, the call for more entries or a reply."""
    entries = [entry for result in results for entry in result.entries or []]
    # The shortest title that contains the user's words is the closest to them.
    titles = sorted(((title_of(entry).casefold(), entry) for entry in entries), key=lambda pair: len(pair[0]))
    # `A to B to C` may rename `A to B` or `A`.
    splits = [match.span() for match in re.finditer(" to ", text)] if spec.action == "update" else []
    for start, end in [*reversed(splits)] or [(len(text), len(text))]:
        wanted = text[:start].casefold().removeprefix("the ")
        entry = next((entry for title, entry in titles if wanted in title), None)
        if entry is not None:
            field = next((name for name in TITLES if name in spec.parameters), "title")
            changes = {field: text[end:]} if text[end:] else {}
            return [Call(spec.name, {key: entry.get(key, entry.get("id")), **changes})]
    data = results[-1].data
    more = isinstance(data, dict) and data.get("has_more") is True and len(results) < _MAX_LOOKUPS
    if more and "offset" in lookup.parameters:
        return [Call(lookup.name, {"offset": len(entries)})]
    return replies.not_found(text, entries)
