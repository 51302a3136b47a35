"""The texts of what users send: all that a model gets to read of it, numbers included."""

from collections.abc import Callable
from typing import Any

from chatkit.types import (
    ClientToolCallItem,
    StructuredInputAnswer,
    StructuredInputItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
)

Visit = Callable[[str], str]


def texts_of(item: ThreadItem) -> list[str]:
    """Return the texts of an item that the user sent: a message, answers, or the output of a client tool."""
    texts: list[str] = []

    def collect(text: str) -> str:
        if text.strip():
            texts.append(text)
        return text

    _map(item, collect)
    return texts


def joined_text(item: ThreadItem) -> str:
    """Return all texts of an item in one: the content of a message as its model reads it, the others after blank lines."""
    if not isinstance(item, UserMessageItem):
        return "\n\n".join(texts_of(item))
    read = "".join(
        f"@{part.text}" if isinstance(part, UserMessageTagContent) else part.text for part in item.content
    )
    # The texts of its content are in what is read.
    rest = texts_of(item.model_copy(update={"content": [_without_text(part) for part in item.content]}))
    return "\n\n".join(text for text in [read, *rest] if text.strip())


def with_texts(item: ThreadItem, texts: dict[str, str]) -> ThreadItem:
    """Return an item with some of its texts replaced.

    Args:
        item: the item; not changed.
        texts: the new texts, by the old ones.
    """
    return _map(item, lambda text: texts.get(text, text))


def _map(item: ThreadItem, visit: Visit) -> ThreadItem:
    changes: dict[str, object] = {}
    if isinstance(item, UserMessageItem):
        changes["content"] = [_map_part(part, visit) for part in item.content]
        changes["quoted_text"] = item.quoted_text and visit(item.quoted_text)
    elif isinstance(item, StructuredInputItem):
        changes["inputs"] = [
            question.model_copy(update={"answer": question.answer and _map_answer(question.answer, visit)})
            for question in item.inputs
        ]
    elif isinstance(item, ClientToolCallItem):
        changes["output"] = _map_json(item.output, visit)
    return item.model_copy(update=changes)


def _map_part(
    part: UserMessageTextContent | UserMessageTagContent, visit: Visit
) -> UserMessageTextContent | UserMessageTagContent:
    changes: dict[str, object] = {"text": visit(part.text)}
    if isinstance(part, UserMessageTagContent):
        changes["id"] = visit(part.id)
        changes["group"] = part.group and visit(part.group)
        changes["data"] = _map_json(part.data, visit)
    return part.model_copy(update=changes)


def _without_text(
    part: UserMessageTextContent | UserMessageTagContent,
) -> UserMessageTextContent | UserMessageTagContent:
    return part.model_copy(update={"text": ""})


def _map_answer(answer: StructuredInputAnswer, visit: Visit) -> StructuredInputAnswer:
    return answer.model_copy(update={"values": [visit(value) for value in answer.values]})


def _map_json(value: Any, visit: Visit) -> Any:
    if isinstance(value, str):
        return visit(value)
    if isinstance(value, list):
        return [_map_json(element, visit) for element in value]
    if isinstance(value, dict):
        return {visit(name): _map_json(element, visit) for name, element in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        # It may be the number of a card. One that is replaced becomes a text.
        number = str(value)
        replaced = visit(number)
        return value if replaced == number else replaced
    return value
