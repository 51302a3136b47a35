"""The Chat Completions API: what a request means, and the chunks of its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.upstream.behaviour import Answer, Turn, fragments, words
from bench.upstream.chat_checks import check
from bench.upstream.frame import call_id, dump, new_id, padding, quote
from bench.upstream.responses_api import THOUGHT, THOUGHT_TOKENS, text_of

__all__ = ["check", "frames", "read", "whole"]

_FINGERPRINT = "fp_0123456789"


def read(body: dict[str, Any]) -> tuple[list[Turn], list[str], str]:
    """The conversation without its leading system message, the offered functions, that message."""
    messages = body["messages"]
    instructions = ""
    if messages[0]["role"] in ("system", "developer"):
        instructions = text_of(messages[0]["content"])
        messages = messages[1:]
    turns = []
    for message in messages:
        if message["role"] == "tool":
            turns.append(Turn("output", text_of(message["content"])))
            continue
        if message.get("reasoning_content"):
            turns.append(Turn("reasoning", message["reasoning_content"]))
        if message.get("content") is not None:
            turns.append(Turn(message["role"], text_of(message["content"])))
        for call in message.get("tool_calls") or []:
            function = call.get("function") or {}
            turns.append(Turn("call", f"{function.get('name')}({function.get('arguments')})"))
    offered = [tool["function"]["name"] for tool in body.get("tools") or [] if tool["type"] == "function"]
    return turns, [] if body.get("tool_choice") == "none" else offered, instructions


def _usage(answer: Answer, reasoning: bool, prompt_tokens: int) -> dict[str, Any]:
    thought = THOUGHT_TOKENS if reasoning else 0
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer.size + thought,
        "total_tokens": prompt_tokens + answer.size + thought,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def whole(body: dict[str, Any], answer: Answer, reasoning: bool, prompt_tokens: int) -> dict[str, Any]:
    """The answer to a request that is not streamed."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else answer.text,
        "refusal": None,
        "annotations": [],
    }
    if reasoning:
        message["reasoning_content"] = THOUGHT
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call_id(),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.calls
        ]
    return {
        "id": f"chatcmpl-{new_id('')[1:30]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
        ],
        "usage": _usage(answer, reasoning, prompt_tokens),
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


class _Chunks:
    """Encodes chunks; what all of an answer's chunks have in common is encoded once."""

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
                "system_fingerprint": _FINGERPRINT,
            }
        )[:-1]
        self._shell = f"data: {shell},".encode()
        self._head = self._shell + b'"choices":[{"index":0,"delta":{'
        null_usage = ',"usage":null' if self.with_usage else ""
        self._tail = f'}},"logprobs":null,"finish_reason":null}}]{null_usage}'.encode()
        self._null_usage = null_usage

    def delta(self, fields: bytes, text: str) -> bytes:
        """A chunk with these fields of `delta`, padded by the length of `text`."""
        return b"%b%b%b%b}\n\n" % (self._head, fields, self._tail, padding(self.body, text).encode())

    def finish(self, reason: str) -> bytes:
        """The chunk that ends the choice."""
        tail = f'}},"logprobs":null,"finish_reason":"{reason}"}}]{self._null_usage}{padding(self.body, "")}}}\n\n'
        return self._head + tail.encode()

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk without choices that carries the usage."""
        return self._shell + f'"choices":[],"usage":{dump(usage)}{padding(self.body, "")}}}\n\n'.encode()


def frames(
    body: dict[str, Any], answer: Answer, reasoning: bool, prompt_tokens: int
) -> Iterator[tuple[bytes, bool]]:
    """The encoded chunks of a streamed answer, each with whether it is a token of the answer."""
    chunks = _Chunks(body)
    content = b"null" if answer.calls or reasoning else b'""'
    yield chunks.delta(b'"role":"assistant","content":%b,"refusal":null' % content, ""), False
    if reasoning:
        for word in words(THOUGHT):
            yield chunks.delta(b'"content":null,"reasoning_content":%b' % quote(word), word), False
    for piece in answer.pieces:
        yield chunks.delta(b'"content":%b' % quote(piece), piece), True
    for index, call in enumerate(answer.calls):
        function = {"name": call.name, "arguments": ""}
        opened = dump([{"index": index, "id": call_id(), "type": "function", "function": function}])
        yield chunks.delta(f'"tool_calls":{opened}'.encode(), call.name), False
        for piece in fragments(call.arguments):
            more = dump([{"index": index, "function": {"arguments": piece}}])
            yield chunks.delta(f'"tool_calls":{more}'.encode(), piece), True
    yield chunks.finish(_finish_reason(answer)), False
    if chunks.with_usage:
        yield chunks.usage(_usage(answer, reasoning, prompt_tokens)), False
    yield b"data: [DONE]\n\n", False
