"""Faulty streams, and writes that split characters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from itertools import cycle, pairwise
from typing import Any

from tests.fake_openai.endpoint import Stream
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.transport import Send

# What a stream may contain between two events: a comment, fields of the next event that have no meaning
# for the client, and an event without data.
_COMMENTS = (b": keep-alive\n\n", b"retry: 10\nfoo: bar\n")
# OpenAI's client parses the empty data of such an event as JSON and fails. After an `id` it also takes a
# comment for such an event.
_NOISE = (b": keep-alive\n\n", b"data:\n\n", b"retry: 10\nid: 7\nfoo: bar\n")


def garbled(stream: Stream, behaviour: Behaviour) -> Iterator[tuple[bytes, bool]]:
    """Return the frames of a stream with the faults that the model's name asks for."""
    frames = _failing(stream, behaviour)
    if behaviour.noise or behaviour.comments:
        frames = _noisy(frames, _NOISE if behaviour.noise else _COMMENTS)
    if behaviour.crlf:
        # JSON text has no line endings of its own.
        frames = ((frame.replace(b"\n", b"\r\n"), is_token) for frame, is_token in frames)
    return frames


def _failing(stream: Stream, behaviour: Behaviour) -> Iterator[tuple[bytes, bool]]:
    tokens = 0
    malformed = behaviour.malformed_after
    for frame, is_token in stream.frames():
        begun = tokens or is_token
        if begun and tokens == malformed:
            malformed = None
            yield stream.malformed(), False
        if begun and tokens == behaviour.failed_after:
            yield stream.failure(), False
            return
        yield frame, is_token
        tokens += is_token


def _noisy(frames: Iterator[tuple[bytes, bool]], noises: tuple[bytes, ...]) -> Iterator[tuple[bytes, bool]]:
    yield next(frames)
    for (frame, is_token), noise in zip(frames, cycle(noises), strict=False):
        yield noise + frame, is_token


def splitting(send: Send) -> Send:
    """Return a `send` that splits each write inside multi-byte characters and inside CR LF.

    A write with neither is split in the middle.
    """

    async def send_split(message: MutableMapping[str, Any]) -> None:
        body = message.get("body", b"")
        if len(body) < 2:
            await send(message)
            return
        places = [
            place
            for place, (left, right) in enumerate(pairwise(body), 1)
            if left >= 0xC0 or (left == 0x0D and right == 0x0A)
        ]
        places = [0, *(places or [len(body) // 2]), len(body)]
        *pieces, last = [body[start:end] for start, end in pairwise(places)]
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0.001)  # lets the client read this write before the next one
        await send({**message, "body": last})

    return send_split
