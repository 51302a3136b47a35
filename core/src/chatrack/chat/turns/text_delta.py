"""Streamed text: the one event that is too frequent to be built as ChatKit builds events."""

import msgspec

_encode = msgspec.json.Encoder().encode
_END = b"}}\n\n"


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """Text to append to one part of an assistant's message.

    Args:
        item_id: the message.
        content_index: the part.
        text: the text.
    """

    item_id: str
    content_index: int
    text: str


def delta_prefix(item_id: str, content_index: int) -> bytes:
    """Return what all deltas of one content part begin with on the wire.

    Args:
        item_id: the message.
        content_index: the part.
    """
    return (
        b'data: {"type":"thread.item.updated","item_id":%b,"update":'
        b'{"type":"assistant_message.content_part.text_delta","content_index":%d,"delta":'
        % (_encode(item_id), content_index)
    )


def encode_delta(prefix: bytes, text: str) -> bytes:
    """Return a delta as a server-sent event, in the bytes of ChatKit's own serialisation.

    Args:
        prefix: the `delta_prefix` of its part.
        text: its text.
    """
    return prefix + _encode(text) + _END
