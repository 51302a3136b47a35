"""A decision as the Responses API tells it: a response, and the events that it is streamed in."""

import json
import math
import re
import time
import uuid
from collections.abc import Iterator

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseInProgressEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from chatrack.builtin.demo.decision import Call, Calls, Decision, Say

MODEL = "demo"
"""The name of the model."""


def respond(decision: Decision, *, read: int) -> Response:
    """Make the complete response that carries out a decision.

    Args:
        decision: what to say or to call.
        read: how many characters the model was given, for the usage.
    """
    output: list[ResponseOutputItem]
    if isinstance(decision, Say):
        output = [_message(decision)]
        written = len(decision.text)
    else:
        calls = decision.calls if isinstance(decision, Calls) else [decision]
        made = [_function_call(call) for call in calls]
        output = [*made]
        written = sum(len(call.name) + len(call.arguments) for call in made)
    return Response(
        id=_id("resp"),
        object="response",
        created_at=time.time(),
        model=MODEL,
        status="completed",
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=_usage(read, written),
    )


def events(response: Response) -> Iterator[TResponseStreamEvent]:
    """Tell a response event by event: text word by word, the deltas joined are the text."""
    begun = response.model_copy(update={"status": "in_progress", "output": [], "usage": None})
    told = (
        ResponseCreatedEvent(type="response.created", response=begun, sequence_number=0),
        ResponseInProgressEvent(type="response.in_progress", response=begun, sequence_number=0),
        *_item_events(response),
        ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0),
    )
    for number, event in enumerate(told):
        event.sequence_number = number
        yield event


def _item_events(response: Response) -> Iterator[TResponseStreamEvent]:
    for index, item in enumerate(response.output):
        empty: ResponseOutputMessage | ResponseFunctionToolCall
        if isinstance(item, ResponseOutputMessage):
            empty = item.model_copy(update={"status": "in_progress", "content": []})
            inner = _text_events(item, index)
        else:
            assert isinstance(item, ResponseFunctionToolCall)
            empty = item.model_copy(update={"status": "in_progress", "arguments": ""})
            inner = _call_events(item, index)
        yield ResponseOutputItemAddedEvent(
            type="response.output_item.added", item=empty, output_index=index, sequence_number=0
        )
        yield from inner
        yield ResponseOutputItemDoneEvent(
            type="response.output_item.done", item=item, output_index=index, sequence_number=0
        )


def _text_events(item: ResponseOutputMessage, index: int) -> Iterator[TResponseStreamEvent]:
    for place, part in enumerate(item.content):
        assert isinstance(part, ResponseOutputText)
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added",
            item_id=item.id,
            output_index=index,
            content_index=place,
            part=part.model_copy(update={"text": ""}),
            sequence_number=0,
        )
        for word in re.findall(r"\s*\S+\s*|\s+", part.text):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                item_id=item.id,
                output_index=index,
                content_index=place,
                delta=word,
                logprobs=[],
                sequence_number=0,
            )
        yield ResponseTextDoneEvent(
            type="response.output_text.done",
            item_id=item.id,
            output_index=index,
            content_index=place,
            text=part.text,
            logprobs=[],
            sequence_number=0,
        )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done",
            item_id=item.id,
            output_index=index,
            content_index=place,
            part=part,
            sequence_number=0,
        )


def _call_events(item: ResponseFunctionToolCall, index: int) -> Iterator[TResponseStreamEvent]:
    item_id = item.id or ""
    yield ResponseFunctionCallArgumentsDeltaEvent(
        type="response.function_call_arguments.delta",
        item_id=item_id,
        output_index=index,
        delta=item.arguments,
        sequence_number=0,
    )
    yield ResponseFunctionCallArgumentsDoneEvent(
        type="response.function_call_arguments.done",
        item_id=item_id,
        output_index=index,
        arguments=item.arguments,
        sequence_number=0,
    )


def _message(said: Say) -> ResponseOutputMessage:
    text = ResponseOutputText(type="output_text", text=_whole(said.text), annotations=[], logprobs=[])
    return ResponseOutputMessage(
        id=_id("msg"), type="message", role="assistant", status="completed", content=[text]
    )


def _function_call(call: Call) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        id=_id("fc"),
        call_id=_id("call"),
        type="function_call",
        name=call.name,
        arguments=_whole(json.dumps(dict(call.arguments), ensure_ascii=False)),
        status="completed",
    )


def _usage(read: int, written: int) -> ResponseUsage:
    # Four characters a token is what such texts come to.
    taken, given = math.ceil(read / 4), math.ceil(written / 4)
    return ResponseUsage(
        input_tokens=taken,
        input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
        output_tokens=given,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=taken + given,
    )


def _whole(text: str) -> str:
    # Half a character (a lone surrogate), which JSON can hold, has no place in a stream of UTF-8.
    return text.encode("utf-8", "replace").decode()


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
