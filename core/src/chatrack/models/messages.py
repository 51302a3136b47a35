"""Messages in a form that every Chat Completions endpoint accepts."""

from collections.abc import Sequence
from typing import Any


def normalize_messages(messages: Sequence[Any]) -> list[Any]:
    """Return messages that even the strictest endpoint accepts.

    Text of an assistant right before its tool calls becomes one message with them, because Gemini accepts calls only
    after a user's message or a tool's result. Empty content, which some endpoints refuse, is replaced.

    Args:
        messages: the messages of a request; not changed.
    """
    output: list[Any] = []
    for message in messages:
        previous = output[-1] if output else {}
        if _has_only_calls(message) and _has_only_text(previous):
            output[-1] = {**message, "content": previous["content"]}
        elif not message.get("content") and not (message.get("tool_calls") or message.get("refusal")):
            output.append({**message, "content": " " if message.get("role") != "tool" else "(no output)"})
        else:
            output.append(message)
    return output


def _has_only_calls(message: Any) -> bool:
    return (
        message.get("role") == "assistant" and bool(message.get("tool_calls")) and not message.get("content")
    )


def _has_only_text(message: Any) -> bool:
    return (
        message.get("role") == "assistant"
        and isinstance(message.get("content"), str)
        and not message.get("tool_calls")
    )
