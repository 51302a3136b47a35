"""Defects of libraries that leave no trace in a conversation."""

from typing import Any

import pydantic
from agents.models.chatcmpl_helpers import HEADERS_OVERRIDE as CHAT_HEADERS
from agents.models.openai_responses import _HEADERS_OVERRIDE as RESPONSES_HEADERS
from agents.tracing import TracingProcessor, get_trace_provider, set_trace_processors

from tests.support.serving import errors_of, message, serving


async def test_no_request_builds_a_type_adapter(chat, monkeypatch):
    thread, _ = await chat.create("warm up")
    built = []
    original = pydantic.TypeAdapter.__init__

    def counted(self: Any, *args: Any, **options: Any) -> None:
        built.append(args)
        original(self, *args, **options)

    monkeypatch.setattr(pydantic.TypeAdapter, "__init__", counted)
    await chat.get("threads.list")
    await chat.get("threads.get_by_id", thread_id=thread)
    await chat.get("items.list", thread_id=thread)
    assert built == []


class Recorder(TracingProcessor):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_trace_start(self, trace):
        self.seen.append(trace)

    def on_trace_end(self, trace):
        self.seen.append(trace)

    def on_span_start(self, span):
        self.seen.append(span)

    def on_span_end(self, span):
        self.seen.append(span)

    def shutdown(self):
        pass

    def force_flush(self):
        pass


async def test_turns_are_not_traced_to_anyone(configure):
    recorder = Recorder()
    provider = get_trace_provider()
    before = list(provider._multi_processor._processors)
    set_trace_processors([recorder])
    try:
        async with serving(configure(chat='titles = "model"', todos=True)) as chat:
            _, events = await chat.create('call create_todo {"title": "x"}')
            assert not errors_of(events)
        assert recorder.seen == []
    finally:
        set_trace_processors(before)


async def test_a_turn_that_fails_leaves_no_headers_behind(configure, api):
    async with serving(configure(api=api, model="fake-n50-x5")) as chat:
        assert errors_of(await chat.events("threads.create", input=message("tell me")))
    assert CHAT_HEADERS.get() is None
    assert RESPONSES_HEADERS.get() is None
