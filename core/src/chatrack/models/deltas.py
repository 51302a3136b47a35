"""Streamed deltas, decoded to the fields that are used.

They replace the classes of the openai client, which validates each event against a union of all event types. An event
that does not fit exactly is parsed by the client's classes. The Agents SDK reads `response` from every event.
"""

from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec


class OutputTextDelta(msgspec.Struct, tag_field="type", tag="response.output_text.delta", gc=False):
    """A text delta of the Responses API."""

    delta: str
    output_index: int
    content_index: int
    item_id: str = ""
    sequence_number: int = 0
    logprobs: Annotated[list[Any], msgspec.Meta(max_length=0)] = []
    type: ClassVar[str] = "response.output_text.delta"
    response: ClassVar[None] = None


class ArgumentsDelta(
    msgspec.Struct, tag_field="type", tag="response.function_call_arguments.delta", gc=False
):
    """A delta of a tool call's arguments; not used, because the complete call follows."""

    output_index: int
    delta: str = ""
    type: ClassVar[str] = "response.function_call_arguments.delta"
    response: ClassVar[None] = None


class SummaryDelta(msgspec.Struct, tag_field="type", tag="response.reasoning_summary_text.delta", gc=False):
    """A delta of a reasoning summary."""

    delta: str
    output_index: int
    summary_index: int
    type: ClassVar[str] = "response.reasoning_summary_text.delta"
    response: ClassVar[None] = None


class ReasoningDelta(msgspec.Struct, tag_field="type", tag="response.reasoning_text.delta", gc=False):
    """A delta of the reasoning itself."""

    delta: str
    output_index: int
    content_index: int
    type: ClassVar[str] = "response.reasoning_text.delta"
    response: ClassVar[None] = None


ResponseDelta: TypeAlias = OutputTextDelta | ArgumentsDelta | SummaryDelta | ReasoningDelta


class ChatDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The delta of a chunk that adds nothing but text."""

    content: str
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning: None = None
    reasoning_content: None = None
    annotations: None = None
    audio: None = None


class ChatChoice(msgspec.Struct, gc=False):
    """The choice of a chunk that has only one."""

    delta: ChatDelta
    index: Annotated[int, msgspec.Meta(ge=0, le=0)] = 0
    finish_reason: None = None
    logprobs: None = None


class ChatChunk(msgspec.Struct, gc=False):
    """A text delta of Chat Completions."""

    choices: Annotated[list[ChatChoice], msgspec.Meta(min_length=1, max_length=1)]
    id: str | None = None
    model: str | None = None
    usage: None = None


decode_response_delta = msgspec.json.Decoder(ResponseDelta).decode
decode_chat_chunk = msgspec.json.Decoder(ChatChunk).decode
