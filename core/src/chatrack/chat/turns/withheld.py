"""What stands in a thread in place of what a guardrail withheld."""

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    StructuredInputAnswer,
    StructuredInputItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTextContent,
)

from chatrack.clock import now
from chatrack.ids import new_id

PLACEHOLDER = "[This message was withheld.]"
"""Stands where the user had written something."""


def placeholder_for(item: ThreadItem) -> ThreadItem:
    """Return an item without anything that the user sent with it.

    Args:
        item: a message, answered questions, or the call of a client tool.
    """
    if isinstance(item, UserMessageItem):
        return withheld_message(item)
    changes: dict[str, object] = {}
    if isinstance(item, StructuredInputItem):
        answer = StructuredInputAnswer(values=[PLACEHOLDER])
        changes = {"inputs": [question.model_copy(update={"answer": answer}) for question in item.inputs]}
    elif isinstance(item, ClientToolCallItem):
        changes = {"output": PLACEHOLDER}
    return item.model_copy(update=changes)


def withheld_message(message: UserMessageItem) -> UserMessageItem:
    """Return a message without anything that the user wrote or attached."""
    changes = {
        "content": [UserMessageTextContent(text=PLACEHOLDER)],
        "attachments": [],
        "quoted_text": None,
    }
    return message.model_copy(update=changes)


def refusal_message(text: str, *, thread_id: str) -> AssistantMessageItem:
    """Return the assistant's message that says why there is no other answer."""
    return AssistantMessageItem(
        id=new_id("message"),
        thread_id=thread_id,
        created_at=now(),
        content=[AssistantMessageContent(text=text)],
    )
