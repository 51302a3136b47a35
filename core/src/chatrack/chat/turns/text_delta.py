"""A piece of streamed text: the one event that is too frequent to be built as ChatKit builds events."""

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_END = b"}}\n\n"


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """Some more text of one part of an assistant's message.

    Args:
        item_id: the message.
        content_index: the part.
        text: the text.
    """

    item_id: str
    content_index: int
    text: str


def delta_prefix(item_id: str, content_index: int) -> bytes:
    """Give what the pieces of one part have in common on the wire.

    Args:
        item_id: the message.
        content_index: the part.
    """
    return (
        b'data: {"type":"thread.item.updated","item_id":%b,"update":'
        b'{"type":"assistant_message.content_part.text_delta","content_index":%d,"delta":'
        % (_encode(item_id), content_index)
    )


def encode_delta(begin: bytes, text: str) -> bytes:
    """Give a piece as it is sent, in the bytes of ChatKit's own serialisation.

    Args:
        begin: the `delta_prefix` of its part.
        text: its text.
    """
    return begin + _encode(text) + _END


def sanitize_json(value: Any) -> Any:
    """Give something that can be JSON with all its texts `sanitize_text`."""
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, dict):
        return {sanitize_text(name): sanitize_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [sanitize_json(one) for one in value]
    return value


def sanitize_text(text: str) -> str:
    """Give a model's text without what cannot be stored or sent: NUL, and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
