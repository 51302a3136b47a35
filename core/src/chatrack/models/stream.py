"""The stream of one answer, from bytes to events: plain deltas the short way, the rest as the client does."""

import asyncio
import functools
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Union, get_args

import httpx2
import msgspec
import openai
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import Field, TypeAdapter, ValidationError

from chatrack.errors import Fault, ModelFailure
from chatrack.models.calls import CallIds, ChatCalls, is_call
from chatrack.models.deltas import decode_chat_chunk, decode_response_delta
from chatrack.models.draining import deliver_queued_first
from chatrack.models.failures import fault_in
from chatrack.models.limits import Limits, ReadDeadline
from chatrack.models.response_headers import request_id_in
from chatrack.models.sse_decoder import SSEDecoder

STARTED = "chatrack.started"
"""The extension of a response that says when its request began, on the loop's clock."""


class _Answer(ABC):
    """Reads one answer. What goes wrong on the way is a `ModelFailure`, raised after all that came before it.

    Args:
        stream: the client's stream of the answer.
    """

    def __init__(self, stream: AsyncStream[Any]) -> None:
        self.response = stream.response
        self.sent = _sent(stream)
        """The body of the request."""
        self.over = False
        """Whether the answer has come to its end."""
        self.failed: Fault | None = None
        """Why the answer is none, although it has come to its end."""
        self.first_token_deadline: float | None = None
        """Until when the first token has to be there; None when it is."""
        self._client: Any = stream._client  # noqa: SLF001  (known under no public name)

    async def events(self) -> AsyncIterator[Any]:
        """Give the events as they come.

        Raises:
            ModelFailure: the answer is late, broken, or none.
        """
        limits: Limits = self._client.limits
        started = self.response.extensions.get(STARTED, asyncio.get_running_loop().time())
        self.first_token_deadline = started + limits.first_token
        reader = SSEDecoder()
        self._watch = ReadDeadline()
        reads = self.response.aiter_bytes()
        try:
            while (chunk := await self._read(reads, started + limits.total, limits.idle)) is not None:
                for data in self._cut(reader, chunk):
                    for event in self._given(data):
                        yield event
            for data in reader.end():
                for event in self._given(data):
                    yield event
            if self.failed is not None:
                raise self.failure(self.failed)
            if not self.over:
                raise self.failure("broken")
        finally:
            self._watch.close()
            await reads.aclose()
            await self.response.aclose()

    def _cut(self, reader: SSEDecoder, chunk: bytes) -> list[bytes]:
        try:
            return reader.feed(chunk)
        except ValueError as error:
            raise self.failure("broken") from error

    def _given(self, data: bytes) -> tuple[Any, ...]:
        if data.startswith(b"[DONE]"):
            self.over = True
            return ()  # the end of the body follows; read to it, the connection can be used again
        return self.decoded(data)

    @abstractmethod
    def decoded(self, data: bytes) -> tuple[Any, ...]:
        """Give the events that some data is, mostly one.

        Raises:
            ModelFailure: it makes no sense, or reports a failure.
        """

    async def _read(self, reads: AsyncIterator[bytes], end: float, idle: float) -> bytes | None:
        if self.first_token_deadline is not None:
            until = min(end, self.first_token_deadline)
        else:
            until = min(end, asyncio.get_running_loop().time() + idle)
        try:
            return await self._watch.read(anext(reads, None), until)
        except TimeoutError as error:
            raise self.failure(
                "first_token_timeout" if self.first_token_deadline is not None else "idle_timeout"
            ) from error
        except (httpx2.RequestError, httpx2.StreamError) as error:
            raise self.failure("broken") from error

    def parsed(self, data: bytes) -> dict[str, Any]:
        try:
            parsed = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                parsed = json.loads(data)  # takes NaN and lone surrogates too
            except (ValueError, RecursionError) as error:
                raise self.failure("broken") from error
        if not isinstance(parsed, dict):
            raise self.failure("broken")
        return parsed

    def failure(self, fault: Fault, *, code: str | None = None) -> ModelFailure:
        return deliver_queued_first(
            ModelFailure(fault, request_id=request_id_in(self.response.headers), code=code)
        )

    def reported(self, error: Any) -> ModelFailure:
        """Give the failure that the provider reports in the middle of an answer."""
        values: Mapping[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
        code = values.get("code") or values.get("type")
        return self.failure(
            fault_in(values, otherwise="unavailable"), code=None if code is None else str(code)
        )


class _ResponsesAnswer(_Answer):
    def __init__(self, stream: AsyncStream[Any]) -> None:
        super().__init__(stream)
        self._ids = CallIds.of(self.sent)
        self._calls: dict[tuple[str, int], str] = {}
        """The ids of this response's calls, by what the provider calls them and by their place."""

    def decoded(self, data: bytes) -> tuple[Any, ...]:
        if b'.delta"' in data:
            try:
                delta = decode_response_delta(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass
            else:
                self.first_token_deadline = None
                return (delta,)
        parsed = self.parsed(data)
        kind = parsed.get("type")
        if str(kind).endswith(".delta"):
            self.first_token_deadline = None
        response = parsed.get("response")
        response = response if isinstance(response, dict) else {}
        if kind == "response.failed":
            raise self.reported(response.get("error"))
        if kind == "error" or (kind is None and parsed.get("error")):
            raise self.reported(parsed.get("error") or parsed)
        if kind == "response.incomplete":
            details = response.get("incomplete_details")
            reason = str(details.get("reason")) if isinstance(details, dict) else None
            raise self.failure("filtered" if reason == "content_filter" else "max_output_tokens", code=reason)
        if kind == "response.completed":
            self.over = True
            self._repair_all(response.get("output") or [])
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            item: Any = parsed.get("item")
            if is_call(item):
                place = (str(item.get("call_id") or ""), parsed.get("output_index", 0))
                if place not in self._calls:
                    self._calls[place] = self._ids.unique(place[0])
                item["call_id"] = self._calls[place]
        if not isinstance(kind, str) or kind not in _EVENTS:
            return ()  # what nobody knows yet, nobody misses
        try:
            return (_events().validate_python(parsed),)
        except ValidationError:
            return (_EVENTS[kind].model_construct(**parsed),)  # as the client has it: better loose than lost

    def _repair_all(self, output: list[Any]) -> None:
        # Here places may be counted otherwise: the first of those called alike is the first, and so on.
        told: dict[str, list[str]] = {}
        for (given, _), call_id in self._calls.items():
            told.setdefault(given, []).append(call_id)
        for item in filter(is_call, output):
            given = str(item.get("call_id") or "")
            ids = told.get(given)
            item["call_id"] = ids.pop(0) if ids else self._ids.unique(given)


class _ChatAnswer(_Answer):
    def __init__(self, stream: AsyncStream[Any]) -> None:
        super().__init__(stream)
        self._calls = ChatCalls(CallIds.of(self.sent))

    def decoded(self, data: bytes) -> tuple[Any, ...]:
        try:
            chunk = decode_chat_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return (self._unusual(self.parsed(data)),)
        if chunk.choices[0].delta.content:
            self.first_token_deadline = None
        return (chunk,)

    def _unusual(self, parsed: dict[str, Any]) -> ChatCompletionChunk:
        if parsed.get("error"):
            raise self.reported(parsed["error"])
        for choice in parsed.get("choices") or []:
            if not isinstance(choice, dict):
                continue
            if choice.get("finish_reason"):
                self.over = True
                # What ends so is not to be taken for an answer; what it said so far is sent first.
                self.failed = _FINISHES.get(choice["finish_reason"], self.failed)
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            if any(value for name, value in delta.items() if name != "role"):
                self.first_token_deadline = None
            if isinstance(delta.get("tool_calls"), list):
                self._calls.repair(delta["tool_calls"])
        try:
            return ChatCompletionChunk.model_validate(parsed)
        except ValidationError:
            return ChatCompletionChunk.model_construct(**parsed)


_FINISHES: dict[str, Fault] = {"content_filter": "filtered", "length": "max_output_tokens"}


@functools.cache
def _events() -> TypeAdapter[ResponseStreamEvent]:
    """Give what builds events.

    The client looks for the class among all there are; told where to look, this takes a fiftieth of the time and a
    seventh of the memory.
    """
    known: Any = Union[tuple(_EVENTS.values())]  # noqa: UP007  (of a tuple)
    return TypeAdapter(Annotated[known, Field(discriminator="type")])


_EVENTS: Mapping[str, type[openai.BaseModel]] = {
    get_args(cls.model_fields["type"].annotation)[0]: cls
    for cls in get_args(get_args(ResponseStreamEvent)[0])
}
"""The classes of events, by their type."""


def _sent(stream: AsyncStream[Any]) -> dict[str, Any]:
    options = stream._options  # noqa: SLF001  (as above)
    return options.json_data if options is not None and isinstance(options.json_data, dict) else {}


class ResponsesStream(AsyncStream[ResponseStreamEvent]):
    """An answer of the Responses API."""

    def __stream__(self) -> AsyncIterator[ResponseStreamEvent]:
        return _ResponsesAnswer(self).events()


class ChatStream(AsyncStream[ChatCompletionChunk]):
    """An answer of Chat Completions."""

    def __stream__(self) -> AsyncIterator[ChatCompletionChunk]:
        return _ChatAnswer(self).events()


STREAMS: Mapping[str, type[AsyncStream[Any]]] = {
    "/responses": ResponsesStream,
    "/chat/completions": ChatStream,
}
"""What reads the streamed answers of a route."""
