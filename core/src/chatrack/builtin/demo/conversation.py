"""What the model is given to read: the last message of the user and what has been done about it since."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

# What is put into the conversation in the user's name, and is not what the user said.
_CONTEXT = (
    "Hidden context for the agent",
    "# User-provided context for @-mentions",
    "The user is referring to this in particular",
    "The following graphical UI widget",
    "The following image was generated",
    "A message was displayed to the user",
    "A structured input request was displayed",
    "[An image was generated",
)
_ATTACHMENT = "[The user attached"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was made since the user's last message, and what it gave.

    Args:
        name: the name of the tool; empty if the call itself is not in the conversation.
        arguments: what it was called with.
        output: what it gave, as text.
    """

    name: str
    arguments: Mapping[str, Any]
    output: str

    @property
    def result(self) -> Any:
        """The output as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.output)
        except (ValueError, RecursionError):
            return None

    @property
    def failed(self) -> bool:
        """Whether the tool said that it could not do it."""
        return self.output.startswith(("Error", "An error occurred"))

    @property
    def handed_over(self) -> bool:
        """Whether this was the way to another agent."""
        result = self.result
        return (
            isinstance(result, dict)
            and list(result) == ["assistant"]
            and isinstance(result["assistant"], str)
        )


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a conversation that decides what comes next.

    Args:
        message: the last message of the user; empty if there is none or it has no text.
        steps: the calls since then, in order, that have a result.
        before: the same before that message.
    """

    message: str
    steps: Sequence[Step]
    before: Sequence[Step] = ()


def read(items: object) -> Conversation:
    """Read a conversation. Whatever cannot be understood is skipped.

    Args:
        items: the input of a model: a text, or a list of items of the Responses API.
    """
    if isinstance(items, str):
        return Conversation(message=items, steps=())
    message = ""
    calls: dict[str, tuple[str, Mapping[str, Any]]] = {}
    steps: list[Step] = []
    before: list[Step] = []
    for item in items if isinstance(items, Iterable) else ():
        if not isinstance(item, Mapping):
            continue
        kind = item.get("type")
        if item.get("role") == "user":
            text = _text(item.get("content"))
            if not text.startswith(_CONTEXT):
                message = text
                before += steps
                steps.clear()
        elif kind == "function_call":
            calls[str(item.get("call_id"))] = (str(item.get("name", "")), _arguments(item.get("arguments")))
        elif kind == "function_call_output":
            name, arguments = calls.get(str(item.get("call_id")), ("", {}))
            steps.append(Step(name=name, arguments=arguments, output=_text(item.get("output"))))
    return Conversation(message=message, steps=tuple(steps), before=tuple(before))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content, ensure_ascii=False, default=str)
    texts = [
        part if isinstance(part, str) else part.get("text") for part in content if part and _is_part(part)
    ]
    return "\n".join(text for text in texts if isinstance(text, str) and not text.startswith(_ATTACHMENT))


def _is_part(part: object) -> bool:
    return isinstance(part, str | Mapping)


def _arguments(raw: object) -> Mapping[str, Any]:
    try:
        values = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {}
