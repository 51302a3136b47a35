"""Understands a conversation: what the user wants, and what tools have returned."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from chatrack.builtin.demo.tool_specs import ToolSpec

TITLES = ("title", "name", "text", "subject")
"""The fields of an entry that may hold its title."""

# What ChatKit and the server say in the user's name.
_CONTEXT = re.compile(
    r"Hidden context for the agent|# User-provided context|The user is referring to this|A structured input"
    r"|The following (?:graphical|image)|A message was displayed|\[An image was generated"
)
_ATTACHMENT = "[The user attached"

_CALL = re.compile(r"(?:call|use|run) `?([\w.-]{1,100})`?\s+(\{.*\})", re.DOTALL)
_MAX_COMMAND = 2_000  # characters of a message that are searched for a command
_POLITE_START = (
    r"(?i)(?:(?:please|hi|hello|hey|there|ok|(?:can|could|would) you|i (?:want|need) to)\b[\s,!.]*)*"
)
_POLITE_END = r"(?i)(?:[\s,.:;!?]|\b(?:please|thanks|thank you))+$"
_ENTRY_VERBS = {
    "create": "add|create|remember to|remind me to",
    "complete": "complete|finish|check off|done with|mark",
    "delete": "delete|remove",
    "update": "rename",
}
_OTHER_VERBS = {
    "list": r"list|show(?: me)?|what(?:'s| is| are)(?: on)?",
    "talk": r"talk|speak|(?:hand|transfer) me(?: over)?",
}


class ToolResult(NamedTuple):
    """The output of a tool; the tool is empty if its call is not in the conversation."""

    tool: str
    output: str

    @property
    def data(self) -> Any:
        """The output as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.output)
        except ValueError:
            return None

    @property
    def entries(self) -> list[dict[str, Any]] | None:
        """The entries of the first list in the output, each with a title; None if there is no list."""
        values = self.data.values() if isinstance(self.data, dict) else [self.data]
        found = next((value for value in values if isinstance(value, list)), None)
        return found and [entry if title_of(entry) else {"title": str(entry)} for entry in found]


class Conversation(NamedTuple):
    """The user's last message, the results of tools since then, and those before."""

    message: str
    results: list[ToolResult]
    earlier: list[ToolResult]


def read_conversation(items: object) -> Conversation:
    """Return the conversation in a model's input: a text, or items of the Responses API. Skip odd items."""
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    conversation, tools = Conversation("", [], []), dict[str, str]()
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, Mapping):
            continue
        call_id, text = str(item.get("call_id")), _text(item.get("content", item.get("output")))
        if item.get("role") == "user" and not _CONTEXT.match(text):
            conversation = Conversation(text, [], conversation.earlier + conversation.results)
        elif item.get("type") == "function_call":
            tools[call_id] = str(item.get("name"))
        elif item.get("type") == "function_call_output":
            conversation.results.append(ToolResult(tools.get(call_id, ""), text))
    return conversation


def title_of(entry: object) -> str:
    """Return what people call an entry of a list, on one line; empty if it has no title."""
    values = [entry.get(field) for field in TITLES] if isinstance(entry, dict) else []
    return next((" ".join(value.split()) for value in values if isinstance(value, str)), "")


def find_tool(message: str, specs: Iterable[ToolSpec]) -> tuple[ToolSpec, str] | None:
    """Return the tool that a message asks for, and what else the message says.

    Tools for the entries of a list are asked for as in `add a todo: buy milk` or `add buy milk to my todos`, others
    by their names, as in `roll the dice` or `get the weather in Paris`.
    """
    text = " ".join(message[:_MAX_COMMAND].split())
    text = re.sub(_POLITE_END, "", re.sub(_POLITE_START, "", text, count=1))
    for spec in sorted(specs, key=lambda spec: (spec.noun not in text.lower(), len(spec.required) > 1)):
        verb, *others = [re.escape(word) for word in spec.words]
        article = r"[ _-](?:(?:an?|the|my|new) )*"
        pattern = article.join([f"(?:{_OTHER_VERBS.get(verb, verb)})", *others])
        pattern = rf"(?:(?:call|use|run) )?{pattern}(?:(?: (?:in|for|of|to|at|on|with))* (.*))?"
        if verbs := _ENTRY_VERBS.get(spec.action):
            noun = re.escape(spec.noun)
            place = rf" (?:to|on|from|off) (?:my|the)(?: \w+)? (?:{noun}|list)s?| as (?:done|completed)"
            pattern = rf"(?:{verbs})(?:_{noun}| (?:an?|the|my) {noun}:?)?(?: (.*?))?(?:{place})?"
        if match := re.fullmatch(f"(?i){pattern}", text):
            return spec, (match[1] or "").strip('"“”')
    return None


def parse_calls(message: str) -> list[tuple[str, str]]:
    """Return the name and the JSON arguments of each call that is spelled out, one to a line."""
    lines = message.split("\n")  # not `splitlines`: JSON may hold the other separators of lines
    return [(match[1], match[2]) for line in lines if (match := _CALL.fullmatch(line.strip()))]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    texts = [str(part.get("text", "")) for part in parts]
    return "\n".join(text for text in texts if not text.startswith(_ATTACHMENT))
