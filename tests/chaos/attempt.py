"""A streaming request of a client, and what the client was sent."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.support.serving import is_delta, text_of

if TYPE_CHECKING:
    from tests.chaos.journal import Thread
    from tests.chaos.rack import Instance

Outcome = Literal["refused", "completed", "stopped", "killed", "unknown", "failed"]

_ECHO = "echo: "
_CALL = "call create_todo "
_SAID = "Tool said: "


def echo(tag: str, tokens: int) -> str:
    """Return a question whose answer has a number of tokens that no other answer has."""
    return _ECHO + " ".join(f"{tag}.{number}" for number in range(tokens))


def wish(tag: str) -> str:
    """Return a question that is answered by creating a todo."""
    return _CALL + json.dumps({"title": f"{tag} is what must not be forgotten before the day is over"})


def todo_in(text: str) -> dict[str, Any] | None:
    """Return the todo that a complete answer says was created."""
    try:
        return dict(json.loads(text.removeprefix(_SAID))) if text.startswith(_SAID) else None
    except ValueError:
        return None


def wished_by(question: str) -> str | None:
    """Return the title of the todo that a question asks for."""
    return str(json.loads(question.removeprefix(_CALL))["title"]) if question.startswith(_CALL) else None


def is_whole(text: str, question: str) -> bool:
    """Return whether a text is the answer to a question."""
    title = wished_by(question)
    if title is None:
        return text == question.removeprefix(_ECHO)
    todo = todo_in(text)
    return todo is not None and todo.get("title") == title


def is_begun(text: str, question: str) -> bool:
    """Return whether a text is the answer to a question, or its beginning."""
    if wished_by(question) is None:
        return question.removeprefix(_ECHO).startswith(text)
    return _SAID.startswith(text[: len(_SAID)])


def tokens(text: str) -> int:
    """Return the number of tokens of a text."""
    return len(text.split())


@dataclass(eq=False)
class Attempt:
    """A streaming request, and what its client received.

    Args:
        kind: the request's type.
        params: its parameters.
        question: the message that is to be answered.
        thread: the thread, once there is one.
        limit: the number of tokens after which the client hangs up.
    """

    kind: str
    params: dict[str, Any]
    question: str
    thread: "Thread | None" = None
    limit: int | None = None
    outcome: Outcome = "unknown"
    server: "Instance | None" = None
    ended: float = 0.0
    """When, on the monotonic clock."""
    created: str | None = None
    deltas: dict[str, str] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def retry(self) -> bool:
        """Whether it asks for another answer to an old message."""
        return self.kind == "threads.retry_after_item"

    @property
    def tokens(self) -> int:
        """The number of tokens received."""
        return sum(map(tokens, self.deltas.values()))

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        """The answers whose `thread.item.done` was received."""
        return {name: item for name, item in self.done.items() if item["type"] == "assistant_message"}

    def see(self, event: dict[str, Any]) -> None:
        """Record an event."""
        if event["type"] == "thread.created":
            self.created = event["thread"]["id"]
        elif is_delta(event):
            self.deltas[event["item_id"]] = self.deltas.get(event["item_id"], "") + event["update"]["delta"]
        elif event["type"] in {"thread.item.done", "thread.item.replaced"}:
            self.done[event["item"]["id"]] = event["item"]
        elif event["type"] == "thread.item.removed":
            self.removed.add(event["item_id"])
        elif event["type"] == "error":
            self.errors.append(event)

    def fault(self) -> str | None:
        """Return what is wrong with a stream that ended in order, or None."""
        texts = [text_of(item) for item in self.answers.values()]
        if self.errors:
            return f"error events: {self.errors}"
        if not self.retry and [text_of(item) for item in self.done.values() if "content" in item][:1] != [
            self.question
        ]:
            return f"the message was not confirmed as it was sent: {self.done}"
        if len(texts) != 1 or not is_whole(texts[0], self.question):
            return f"{self.question!r} was answered with {texts}"
        return None
