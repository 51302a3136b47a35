"""Decoding of streamed responses: text deltas by the fast decoders, other events by the client's own classes."""

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
from chatrack.models.failures import fault_from_body
from chatrack.models.limits import Limits
from chatrack.models.queued_events import deliver_queued_first
from chatrack.models.read_deadline import ReadDeadline
from chatrack.models.response_headers import request_id_in
from chatrack.models.sse_decoder import SSEDecoder

REQUEST_STARTED = "chatrack.request_started"
"""The extension of an HTTP response with the time of its request, on the loop's clock."""


class _StreamReader(ABC):
    """Reads one streamed response. Failures are `ModelFailure`s, raised after the events before them.

    Args:
        stream: the openai client's stream.
    """

    # docs/upstream.md: slow-client

    def __init__(self, stream: AsyncStream[Any]) -> None:
        self.response = stream.response
        self.request_body = _request_body(stream)
        self.finished = False
        """Whether the provider has said that the response is complete."""
        self.fault: Fault | None = None
        """Why a complete response does not count as an answer."""
        self.first_token_deadline: float | None = None
        """When the first token has to be there, on the loop's clock; None once it is."""
        self._client: Any = stream._client  # noqa: SLF001  (no public name)

    async def events(self) -> AsyncIterator[Any]:
        """Yield the events of the response.

        Raises:
            ModelFailure: the response is late, broken or incomplete.
        """
        limits: Limits = self._client.limits
        started = self.response.extensions.get(REQUEST_STARTED, asyncio.get_running_loop().time())
        self.first_token_deadline = started + limits.first_token
        decoder = SSEDecoder()
        self._read_deadline = ReadDeadline()
        chunks = self.response.aiter_bytes()
        try:
            while (chunk := await self._read(chunks, started + limits.total, limits.idle)) is not None:
                for data in self._feed(decoder, chunk):
                    for event in self._handle_data(data):
                        yield event
            for data in decoder.end():
                for event in self._handle_data(data):
                    yield event
            if self.fault is not None:
                raise self.failure(self.fault)
            if not self.finished:
                raise self.failure("broken")
        finally:
            self._read_deadline.close()
            await chunks.aclose()
            await self.response.aclose()

    def _feed(self, decoder: SSEDecoder, chunk: bytes) -> list[bytes]:
        try:
            return decoder.feed(chunk)
        except ValueError as error:
            raise self.failure("broken") from error

    def _handle_data(self, data: bytes) -> tuple[Any, ...]:
        if data.startswith(b"[DONE]"):
            self.finished = True
            return ()  # the body is read to its end, so that the connection can be reused
        return self.decode(data)

    @abstractmethod
    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Return the events in the data of one server-sent event: at most one.

        Raises:
            ModelFailure: the data cannot be parsed, or reports a failure.
        """

    async def _read(self, chunks: AsyncIterator[bytes], total_deadline: float, idle: float) -> bytes | None:
        if self.first_token_deadline is not None:
            deadline = min(total_deadline, self.first_token_deadline)
        else:
            deadline = min(total_deadline, asyncio.get_running_loop().time() + idle)
        try:
            return await self._read_deadline.read(anext(chunks, None), deadline)
        except TimeoutError as error:
            raise self.failure(
                "first_token_timeout" if self.first_token_deadline is not None else "idle_timeout"
            ) from error
        except (httpx2.RequestError, httpx2.StreamError) as error:
            raise self.failure("broken") from error

    def parse(self, data: bytes) -> dict[str, Any]:
        """Parse a JSON object.

        Raises:
            ModelFailure: the data is not a JSON object.
        """
        try:
            parsed = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                parsed = json.loads(data)  # accepts NaN and lone surrogates too
            except (ValueError, RecursionError) as error:
                raise self.failure("broken") from error
        if not isinstance(parsed, dict):
            raise self.failure("broken")
        return parsed

    def failure(self, fault: Fault, *, code: str | None = None) -> ModelFailure:
        """Return a failure of this response."""
        return deliver_queued_first(
            ModelFailure(fault, request_id=request_id_in(self.response.headers), code=code)
        )

    def provider_failure(self, error: Any) -> ModelFailure:
        """Return the failure that the provider reports in the middle of the stream."""
        body: Mapping[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
        code = body.get("code") or body.get("type")
        return self.failure(
            fault_from_body(body, otherwise="unavailable"), code=None if code is None else str(code)
        )


class _ResponsesReader(_StreamReader):
    def __init__(self, stream: AsyncStream[Any]) -> None:
        super().__init__(stream)
        self._ids = CallIds.of(self.request_body)
        self._calls: dict[tuple[str, int], str] = {}
        """The ids of this response's calls, by the provider's ids and the output indexes."""

    def decode(self, data: bytes) -> tuple[Any, ...]:
        if b'.delta"' in data:
            try:
                delta = decode_response_delta(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass
            else:
                self.first_token_deadline = None
                return (delta,)
        parsed = self.parse(data)
        kind = parsed.get("type")
        if str(kind).endswith(".delta"):
            self.first_token_deadline = None
        response = parsed.get("response")
        response = response if isinstance(response, dict) else {}
        if kind == "response.failed":
            raise self.provider_failure(response.get("error"))
        if kind == "error" or (kind is None and parsed.get("error")):
            raise self.provider_failure(parsed.get("error") or parsed)
        if kind == "response.incomplete":
            details = response.get("incomplete_details")
            reason = str(details.get("reason")) if isinstance(details, dict) else None
            raise self.failure("filtered" if reason == "content_filter" else "max_output_tokens", code=reason)
        if kind == "response.completed":
            self.finished = True
            self._assign_ids(response.get("output") or [])
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            item: Any = parsed.get("item")
            if is_call(item):
                key = (str(item.get("call_id") or ""), parsed.get("output_index", 0))
                if key not in self._calls:
                    self._calls[key] = self._ids.unique(key[0])
                item["call_id"] = self._calls[key]
        if not isinstance(kind, str) or kind not in _EVENT_CLASSES:
            return ()  # skip unknown event types
        try:
            return (_event_adapter().validate_python(parsed),)
        except ValidationError:
            return (_EVENT_CLASSES[kind].model_construct(**parsed),)  # unvalidated, as the client does

    def _assign_ids(self, output: list[Any]) -> None:
        # Output indexes may differ here, so calls that share a provider's id are matched in order.
        call_ids: dict[str, list[str]] = {}
        for (provider_id, _), call_id in self._calls.items():
            call_ids.setdefault(provider_id, []).append(call_id)
        for item in filter(is_call, output):
            provider_id = str(item.get("call_id") or "")
            assigned = call_ids.get(provider_id)
            item["call_id"] = assigned.pop(0) if assigned else self._ids.unique(provider_id)


class _ChatReader(_StreamReader):
    def __init__(self, stream: AsyncStream[Any]) -> None:
        super().__init__(stream)
        self._calls = ChatCalls(CallIds.of(self.request_body))

    def decode(self, data: bytes) -> tuple[Any, ...]:
        try:
            chunk = decode_chat_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return (self._validate(self.parse(data)),)
        if chunk.choices[0].delta.content:
            self.first_token_deadline = None
        return (chunk,)

    def _validate(self, parsed: dict[str, Any]) -> ChatCompletionChunk:
        if parsed.get("error"):
            raise self.provider_failure(parsed["error"])
        for choice in parsed.get("choices") or []:
            if not isinstance(choice, dict):
                continue
            if choice.get("finish_reason"):
                self.finished = True
                # Raised at the end of the stream, after the text before it.
                self.fault = _FAULTS_BY_FINISH_REASON.get(choice["finish_reason"], self.fault)
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


_FAULTS_BY_FINISH_REASON: dict[str, Fault] = {"content_filter": "filtered", "length": "max_output_tokens"}


@functools.cache
def _event_adapter() -> TypeAdapter[ResponseStreamEvent]:
    """Return a validator of events that chooses the class by the event's type.

    The client tries all classes. Choosing takes a fiftieth of the time and a seventh of the memory.
    """
    union: Any = Union[tuple(_EVENT_CLASSES.values())]  # noqa: UP007  (of a tuple)
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


_EVENT_CLASSES: Mapping[str, type[openai.BaseModel]] = {
    get_args(cls.model_fields["type"].annotation)[0]: cls
    for cls in get_args(get_args(ResponseStreamEvent)[0])
}
"""The client's classes of events, by the events' types."""


def _request_body(stream: AsyncStream[Any]) -> dict[str, Any]:
    options = stream._options  # noqa: SLF001  (no public name)
    return options.json_data if options is not None and isinstance(options.json_data, dict) else {}


class ResponsesStream(AsyncStream[ResponseStreamEvent]):
    """A streamed response of the Responses API."""

    def __stream__(self) -> AsyncIterator[ResponseStreamEvent]:
        return _ResponsesReader(self).events()


class ChatStream(AsyncStream[ChatCompletionChunk]):
    """A streamed response of Chat Completions."""

    def __stream__(self) -> AsyncIterator[ChatCompletionChunk]:
        return _ChatReader(self).events()


STREAM_CLASSES: Mapping[str, type[AsyncStream[Any]]] = {
    "/responses": ResponsesStream,
    "/chat/completions": ChatStream,
}
"""The classes that decode the streams of each API, by path."""
