"""Encoding of chunks of the Chat Completions API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.fake_openai.behaviour import Answer, Call, fragments, interleave
from tests.fake_openai.frame import dump, new_id, padding
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.refusal import error_body, server_error

FINGERPRINT = "fp_0123456789"


class Chunks:
    """Encodes the chunks of an answer; their common parts are encoded once."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        shell = dump(
            {
                "id": f"chatcmpl-{new_id('')[1:30]}",
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": body["model"],
                "service_tier": "default",
                "system_fingerprint": FINGERPRINT,
            }
        )[:-1]
        self._shell = f"data: {shell},".encode()
        self._head = self._shell + b'"choices":[{"index":0,"delta":{'
        null_usage = ',"usage":null' if self.with_usage else ""
        self._tail = f'}},"logprobs":null,"finish_reason":null}}]{null_usage}'.encode()
        self._null_usage = null_usage

    def delta(self, fields: bytes, text: str) -> bytes:
        """Return a chunk with these fields of `delta`, padded by the length of `text`."""
        return b"%b%b%b%b}\n\n" % (self._head, fields, self._tail, padding(self.body, text).encode())

    def finish(self, reason: str) -> bytes:
        """Return the chunk that ends the choice."""
        tail = f'}},"logprobs":null,"finish_reason":"{reason}"}}]{self._null_usage}{padding(self.body, "")}}}\n\n'
        return self._head + tail.encode()

    def usage(self, usage: dict[str, Any]) -> bytes:
        """Return the chunk without choices that carries the usage."""
        return self._shell + f'"choices":[],"usage":{dump(usage)}{padding(self.body, "")}}}\n\n'.encode()

    def malformed(self) -> bytes:
        """Return a chunk that ends in the middle of its JSON."""
        return self._head + b'"content":"w\n\n'

    def failure(self) -> bytes:
        """Return the data of the event that replaces a chunk when the provider fails in the middle of an answer."""
        return f"data: {dump(error_body(server_error()))}\n\n".encode()


def whole_call(call: Call, behaviour: Behaviour) -> dict[str, Any]:
    """Return a tool call in the form of an unstreamed answer."""
    return {
        **({"id": call.call_id} if call.call_id else {}),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
        **({"extra_content": {"google": {"thought_signature": call.signature}}} if behaviour.signed else {}),
    }


def call_frames(chunks: Chunks, answer: Answer, behaviour: Behaviour) -> Iterator[tuple[bytes, bool]]:
    """Yield the chunks of the tool calls, each with a flag for tokens of the answer."""
    if behaviour.index_zero or behaviour.without_index:
        for call in answer.calls:
            place = {} if behaviour.without_index else {"index": 0}
            yield _calls_delta(chunks, {**place, **whole_call(call, behaviour)}, call.arguments), True
        return
    openings = []
    pieces = []
    for index, call in enumerate(answer.calls):
        opened = {"index": index, **whole_call(call, behaviour)}
        opened["function"] = {"name": call.name, "arguments": ""}
        openings.append((_calls_delta(chunks, opened, call.name), False))
        pieces.append(
            [
                (_calls_delta(chunks, {"index": index, "function": {"arguments": piece}}, piece), True)
                for piece in fragments(call.arguments)
            ]
        )
    if behaviour.interleaved:
        yield from openings
        yield from interleave(pieces)
        return
    for opening, rest in zip(openings, pieces, strict=True):
        yield opening
        yield from rest


def _calls_delta(chunks: Chunks, call: dict[str, Any], text: str) -> bytes:
    return chunks.delta(f'"tool_calls":{dump([call])}'.encode(), text)
