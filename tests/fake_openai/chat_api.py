"""The Chat Completions API: reads requests, and produces the chunks of an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.fake_openai.behaviour import Answer, Turn, words
from tests.fake_openai.chat_chunks import FINGERPRINT, Chunks, call_frames, whole_call
from tests.fake_openai.citation import url_citation
from tests.fake_openai.frame import dump, new_id, quote
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.responses_api import text_of
from tests.fake_openai.responses_items import THOUGHT, THOUGHT_TOKENS


def read(body: dict[str, Any]) -> tuple[list[Turn], dict[str, Any], str]:
    """Return the conversation without its leading system message, the offered functions, and that message."""
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
        if thought := message.get("reasoning_content") or message.get("reasoning"):
            turns.append(Turn("reasoning", thought))
        if message.get("content") is not None:
            turns.append(Turn(message["role"], text_of(message["content"])))
        for call in message.get("tool_calls") or []:
            function = call.get("function") or {}
            turns.append(Turn("call", f"{function.get('name')}({function.get('arguments')})"))
    functions = [tool["function"] for tool in body.get("tools") or [] if tool["type"] == "function"]
    if body.get("tool_choice") == "none":
        functions = []
    return turns, {function["name"]: function.get("parameters") for function in functions}, instructions


def _usage(answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    thought = THOUGHT_TOKENS if behaviour.reasoning else 0
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


def _finish_reason(answer: Answer, behaviour: Behaviour) -> str:
    return "tool_calls" if answer.calls and behaviour.ending == "stop" else behaviour.ending


def _thought_field(behaviour: Behaviour) -> str:
    return "reasoning" if behaviour.thinks_in_text else "reasoning_content"


def _citations(answer: Answer) -> list[dict[str, Any]]:
    citation = url_citation(answer.text)
    return [{"type": citation.pop("type"), "url_citation": citation}]


def whole(body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    """Return the answer to a request that is not streamed."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls or answer.refusal else answer.text,
        "refusal": answer.text if answer.refusal else None,
        "annotations": _citations(answer) if behaviour.searches and answer.pieces else [],
    }
    if behaviour.reasoning:
        message[_thought_field(behaviour)] = THOUGHT
    if answer.calls:
        message["tool_calls"] = [whole_call(call, behaviour) for call in answer.calls]
    finish_reason = _finish_reason(answer, behaviour)
    return {
        "id": f"chatcmpl-{new_id('')[1:30]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": _usage(answer, behaviour, prompt_tokens),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


class Stream:
    """A streamed answer."""

    def __init__(
        self, body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int
    ) -> None:
        self.answer = answer
        self.behaviour = behaviour
        self.prompt_tokens = prompt_tokens
        self.chunks = Chunks(body)

    def frames(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the encoded chunks, each with a flag for tokens of the answer."""
        answer, behaviour, chunks = self.answer, self.behaviour, self.chunks
        content = b"null" if answer.calls or answer.refusal or behaviour.reasoning else b'""'
        yield chunks.delta(b'"role":"assistant","content":%b,"refusal":null' % content, ""), False
        if behaviour.reasoning:
            field = _thought_field(behaviour).encode()
            for word in words(THOUGHT):
                yield chunks.delta(b'"content":null,"%b":%b' % (field, quote(word)), word), False
        field = b'"refusal":%b' if answer.refusal else b'"content":%b'
        for piece in answer.pieces:
            yield chunks.delta(field % quote(piece), piece), True
        if answer.calls:
            yield from call_frames(chunks, answer, behaviour)
        elif behaviour.searches and answer.pieces:
            yield chunks.delta(f'"annotations":{dump(_citations(answer))}'.encode(), ""), False
        yield chunks.finish(_finish_reason(answer, behaviour)), False
        if chunks.with_usage:
            yield chunks.usage(_usage(answer, behaviour, self.prompt_tokens)), False
        yield b"data: [DONE]\n\n", False

    def malformed(self) -> bytes:
        """Return an event with malformed JSON."""
        return self.chunks.malformed()

    def failure(self) -> bytes:
        """Return the event that reports that the provider failed."""
        return self.chunks.failure()
