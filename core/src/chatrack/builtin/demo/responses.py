"""Responses of the Responses API, and the events that stream them."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from agents.items import TResponseStreamEvent
from openai.types import responses as api
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from chatrack.builtin.demo.policy import Call, Decision

MODEL = "demo"
"""The name of the model."""


def build_response(decision: Decision, *, input_size: int) -> api.Response:
    """Return the response that carries out a decision.

    Args:
        decision: what to say or to call.
        input_size: characters that the model was given; four of them count as a token.
    """
    output: list[Any] = (
        [_message(decision)] if isinstance(decision, str) else [_tool_call(call) for call in decision]
    )
    input_tokens, output_tokens = input_size // 4 + 1, len(str(decision)) // 4 + 1
    return api.Response(
        id=f"resp_{uuid.uuid4().hex}",
        object="response",
        created_at=time.time(),
        model=MODEL,
        status="completed",
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=api.ResponseUsage(
            input_tokens=input_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            output_tokens=output_tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=input_tokens + output_tokens,
        ),
    )


def stream_events(response: api.Response) -> Iterator[TResponseStreamEvent]:
    """Return the events that stream a response, numbered; a text comes word by word."""
    for number, event in enumerate(_events(response)):
        event.sequence_number = number
        yield event


def _events(response: api.Response) -> Iterator[TResponseStreamEvent]:
    started = response.model_copy(update={"status": "in_progress", "output": [], "usage": None})
    yield api.ResponseCreatedEvent(type="response.created", response=started, sequence_number=0)
    for index, item in enumerate(response.output):
        place: dict[str, Any] = {"output_index": index, "sequence_number": 0}
        content: dict[str, Any] = {"content": []} if item.type == "message" else {"arguments": ""}
        empty = item.model_copy(update={"status": "in_progress", **content})
        yield api.ResponseOutputItemAddedEvent(type="response.output_item.added", item=empty, **place)
        if isinstance(item, api.ResponseOutputMessage):
            yield from _text_events(item.content[0], {"item_id": item.id, "content_index": 0, **place})
        yield api.ResponseOutputItemDoneEvent(type="response.output_item.done", item=item, **place)
    yield api.ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)


def _text_events(part: Any, place: dict[str, Any]) -> Iterator[TResponseStreamEvent]:
    empty = part.model_copy(update={"text": ""})
    yield api.ResponseContentPartAddedEvent(type="response.content_part.added", part=empty, **place)
    for word in re.findall(r"\s*\S+\s*|\s+", part.text):
        yield api.ResponseTextDeltaEvent(type="response.output_text.delta", delta=word, logprobs=[], **place)
    yield api.ResponseTextDoneEvent(type="response.output_text.done", text=part.text, logprobs=[], **place)
    yield api.ResponseContentPartDoneEvent(type="response.content_part.done", part=part, **place)


def _message(text: str) -> api.ResponseOutputMessage:
    part = api.ResponseOutputText(type="output_text", text=_sanitize(text), annotations=[], logprobs=[])
    return api.ResponseOutputMessage(
        id=f"msg_{uuid.uuid4().hex}", type="message", role="assistant", status="completed", content=[part]
    )


def _tool_call(call: Call) -> api.ResponseFunctionToolCall:
    return api.ResponseFunctionToolCall(
        id=f"fc_{uuid.uuid4().hex}",
        call_id=f"call_{uuid.uuid4().hex}",
        type="function_call",
        name=call.tool,
        arguments=_sanitize(json.dumps(call.arguments, ensure_ascii=False)),
        status="completed",
    )


def _sanitize(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # JSON may hold lone surrogates; UTF-8 may not
