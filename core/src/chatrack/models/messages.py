"""Messages as Chat Completions endpoints want them: the strictest of them set the rules."""

from collections.abc import Sequence
from typing import Any


def normalize_messages(messages: Sequence[Any]) -> list[Any]:
    """Give messages in a form that all endpoints take.

    What an assistant said before it called tools becomes one message with the calls: Gemini wants calls to follow
    a user's message or a result. A message without content is given some.

    Args:
        messages: the messages of a request; not changed.
    """
    output: list[Any] = []
    for message in messages:
        last = output[-1] if output else {}
        if _calls_alone(message) and _speaks_alone(last):
            output[-1] = {**message, "content": last["content"]}
        elif not message.get("content") and not (message.get("tool_calls") or message.get("refusal")):
            output.append({**message, "content": " " if message.get("role") != "tool" else "(no output)"})
        else:
            output.append(message)
    return output


def _calls_alone(message: Any) -> bool:
    return (
        message.get("role") == "assistant" and bool(message.get("tool_calls")) and not message.get("content")
    )


def _speaks_alone(message: Any) -> bool:
    return (
        message.get("role") == "assistant"
        and isinstance(message.get("content"), str)
        and not message.get("tool_calls")
    )
