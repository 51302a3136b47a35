"""Text deltas that bypass the SDKs give the same bytes and events as those that do not."""

import asyncio
import json
import random
import sys

import httpx2
import openai
import pytest
from chatkit.types import AssistantMessageContentPartTextDelta, ThreadItemUpdatedEvent
from openai import AsyncOpenAI

from chatrack.chat.agents.sanitize import sanitize_text
from chatrack.chat.turns.text_delta import delta_prefix, encode_delta
from chatrack.interfaces.records import dump
from chatrack.models.client import Client
from chatrack.models.sse_decoder import SSEDecoder
from tests.fake_openai import serve
from tests.support.serving import answer_of, is_delta, message, serving


def as_the_sdk_sends_it(item_id, index, text):
    update = AssistantMessageContentPartTextDelta(content_index=index, delta=text)
    return b"data: " + dump(ThreadItemUpdatedEvent(item_id=item_id, update=update)).encode() + b"\n\n"


def test_every_character_is_encoded_as_the_sdk_encodes_it():
    # All but surrogates, which UTF-8 cannot encode.
    codes = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
    for start in range(0, len(codes), 5000):
        text = "".join(map(chr, codes[start : start + 5000]))
        assert encode_delta(delta_prefix("msg_1", 0), text) == as_the_sdk_sends_it("msg_1", 0, text)


def test_generated_texts_are_encoded_as_the_sdk_encodes_them():
    chance = random.Random(27)
    for _ in range(2000):
        text = "".join(chance.choices('ab "\\/\n\t\r\x00\x1f\x7féß漢🦜\u2028{}[]', k=chance.randrange(12)))
        item, index = f"msg_{chance.randrange(10**9)}", chance.randrange(3)
        assert encode_delta(delta_prefix(item, index), text) == as_the_sdk_sends_it(item, index, text)


def test_halves_of_surrogate_pairs_do_no_harm():
    assert sanitize_text("a\ud83d") == "a\ufffd"
    assert sanitize_text("\ud83e\udd9c") == "🦜"
    assert sanitize_text("a\0b") == "ab"
    encode_delta(delta_prefix("msg", 0), sanitize_text("\udd9c"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_cut_alike_wherever_the_bytes_are_cut(end):
    text = end.join(
        [
            ": comment", "", "event: a", 'data: {"x": "é🦜"}', "", "retry: 10", "id: 7", "", "data:", "", "data:1",
            "data: 2", "", "", "foo", "", "data: [DONE]", "", "",
        ]
    )  # fmt: skip
    data = text.encode()
    wanted = ['{"x": "é🦜"}'.encode(), b"1\n2", b"[DONE]"]
    for size in (1, 2, 3, 5, 7, len(data)):
        reader = SSEDecoder()
        found = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
        assert found + reader.end() == wanted


def test_an_event_without_its_blank_line_is_not_lost_at_the_end():
    reader = SSEDecoder()
    assert reader.feed(b"data: 1\n\ndata: 2\n") == [b"1"]
    assert reader.end() == [b"2"]


async def events_of(client, api, model, text):
    if api == "responses":
        stream = await client.responses.create(
            model=model, input=[{"role": "user", "content": text}], tools=[TOOL], stream=True
        )
    else:
        tool = {"type": "function", "function": {key: TOOL[key] for key in ("name", "parameters")}}
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], tools=[tool], stream=True
        )
    return [event async for event in stream]


TOOL = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    "strict": False,
}


def comparable(event):
    """Return an event without ids and without the fields that nothing reads."""
    if event.type == "response.function_call_arguments.delta":
        return (event.type, event.delta)
    if event.type.endswith(".delta"):
        return (event.type, event.delta, event.output_index)
    return event.model_dump(mode="json")


class Replayed(httpx2.AsyncBaseTransport):
    """Answers every request with the same bytes, split into pieces."""

    def __init__(self, body, size):
        self.body, self.size = body, size

    async def handle_async_request(self, request):
        async def pieces():
            for at in range(0, len(self.body), self.size):
                yield self.body[at : at + self.size]

        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=pieces())


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("fake-n20", "hello"),
        ("fake-r", 'echo: Grüße 🦜 漢字 \\ " \u2028'),
        ("fake-thinktext", "hello"),
        ("fake", "call look {}\ncall look {}"),
        ("fake-search", "hello"),
        ("fake-refuse", "hello"),
    ],
)
async def test_recorded_streams_give_the_events_that_the_client_gives(upstream, api, model, text):
    recorded = await record(upstream, api, model, text)
    for size in (1 << 20, 61):
        async with stock(recorded, size) as long_way, lean(recorded, size) as short_way:
            wanted = await events_of(long_way, api, model, text)
            found = await events_of(short_way, api, model, text)
        if api == "responses":
            assert [comparable(event) for event in found] == [comparable(event) for event in wanted]
        else:
            assert [chunk_of(event) for event in found] == [chunk_of(event) for event in wanted]


def chunk_of(chunk):
    [choice] = chunk.choices
    delta = choice.delta
    given = {
        name: getattr(delta, name, None) for name in ("content", "refusal", "reasoning", "reasoning_content")
    }
    calls = [call.model_dump() for call in delta.tool_calls or []]
    return (chunk.id, chunk.model, choice.index, choice.finish_reason, given, calls)


async def record(upstream, api, model, text):
    """Return the bytes of an answer of the fake upstream."""
    kept = bytearray()

    async def keep(response):
        await response.aread()
        kept.extend(response.content)

    http = httpx2.AsyncClient(event_hooks={"response": [keep]})
    async with AsyncOpenAI(api_key="sk-x", base_url=upstream.url, http_client=http) as client:
        await events_of(client, api, model, text)
    return bytes(kept)


def stock(recorded, size):
    http = httpx2.AsyncClient(transport=Replayed(recorded, size))
    return AsyncOpenAI(api_key="sk-x", base_url="http://replayed/v1", http_client=http)


def lean(recorded, size):
    http = httpx2.AsyncClient(transport=Replayed(recorded, size))
    return Client(api_key="sk-x", base_url="http://replayed/v1", http_client=http)


async def test_on_the_wire_nothing_tells_which_way_a_token_went(configure, api, monkeypatch):
    async with serving(configure(api=api, model="fake-n30")) as chat:
        quick = await wire(chat)
    monkeypatch.setattr("chatrack.models.openai_models.DELTA_FAST_PATH", NoShortcut())
    async with serving(configure(api=api, model="fake-n30")) as chat:
        assert await wire(chat) == quick
    assert quick.count(b"text_delta") == 30


class NoShortcut:
    def get(self):
        return None


async def wire(chat):
    body = {"type": "threads.create", "params": {"input": message("hello")}}
    response = await chat.http.post(chat.path, json=body)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    ids = {}
    text = response.text
    for event in events:
        for found in (event.get("thread", {}).get("id"), event.get("item", {}).get("id")):
            if found:
                ids.setdefault(found, f"id{len(ids)}")
    for found, name in ids.items():
        text = text.replace(found, name)
    return "\n".join(part.partition('"created_at"')[0] for part in text.splitlines()).encode()


async def test_tokens_take_the_shorter_way_once_the_message_is_shown(configure, upstream, api, monkeypatch):
    from chatrack.chat.turns.writer import TurnWriter

    direct = []
    send_delta = TurnWriter.send_delta

    def counted(self, delta):
        direct.append(sys._getframe(1).f_code.co_name)
        return send_delta(self, delta)

    monkeypatch.setattr(TurnWriter, "send_delta", counted)
    async with (
        serving(configure(api=api, model="fake-n50-h1")) as chat,
        chat.stream("threads.create", input=message("hello")) as stream,
    ):
        events = [await anext(stream)]
        while not is_delta(events[-1]):
            events.append(await anext(stream))
        upstream.state.release()
        events += [event async for event in stream]
    assert answer_of(events).split() == [f"w{number}" for number in range(50)]
    assert direct.count("emit") <= 5, "the rest of the deltas went around the Agents SDK"


async def test_an_agent_within_a_tool_does_not_speak_into_the_answer(
    write_config, upstream, tmp_path, monkeypatch, api
):
    from tests.conftest import openai_config
    from tests.support.plugins import installed_site

    source = (
        f"URL = {upstream.url!r}\nAPI = {api!r}\n"
        '''
import agents, chatrack
from chatrack.models import Endpoint, EndpointProvider, EndpointSettings

@chatrack.function_tool
async def consult(ctx: chatrack.ToolContext) -> str:
    """Ask somebody else."""
    provider = EndpointProvider(Endpoint(key="x", settings=EndpointSettings(
        api_key=chatrack.Secret("sk-x"), base_url=URL, api=API)))
    async with provider.open():
        other = agents.Agent(name="other", model=provider.get_model("fake-n5"))
        result = agents.Runner.run_streamed(other, "echo: a b c d e",
                                            run_config=agents.RunConfig(tracing_disabled=True))
        deltas = [e.data.delta async for e in result.stream_events()
                  if e.type == "raw_response_event" and e.data.type == "response.output_text.delta"]
    return "consulted: " + "".join(deltas)

class InnerPlugin:
    api = 1
    @chatrack.hookimpl
    def tools(self):
        return [consult]
'''
    )
    with installed_site(tmp_path / "site", monkeypatch) as site:
        site.install_source("inner", source, target="InnerPlugin")
        config = openai_config(
            upstream.url, api=api, enabled='["sqlite_store", "openai_provider", "inner"]', tools='["inner.*"]'
        )
        async with serving(write_config(config)) as chat:
            _, events = await chat.create("call consult {}")
    assert answer_of(events) == "Tool said: consulted: a b c d e"


async def test_reading_late_data_ends_the_answer_in_time():
    """`ReadDeadline` raises for a late read, and passes every other cancellation on."""
    from chatrack.models.read_deadline import ReadDeadline

    loop = asyncio.get_running_loop()
    watch = ReadDeadline()
    assert await watch.read(asyncio.sleep(0, "in time"), loop.time() + 60) == "in time"
    with pytest.raises(TimeoutError):
        await watch.read(asyncio.sleep(60), loop.time() + 0.02)
    assert await watch.read(asyncio.sleep(0.03, "again"), loop.time() + 60) == "again"
    task = asyncio.create_task(watch.read(asyncio.sleep(60), loop.time() + 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()


def test_the_private_parts_of_upstream_that_the_stream_needs_are_there():
    from agents import exceptions

    error = openai.OpenAIError("x")
    exceptions._mark_error_to_drain_stream_events(error)
    assert exceptions._should_drain_stream_events_before_raising(error)


async def test_streams_know_their_client_and_their_request(upstream):
    async with serve(), Client(api_key="sk-x", base_url=upstream.url) as client:
        stream = await client.responses.create(
            model="fake", input=[{"role": "user", "content": "hi"}], stream=True
        )
        assert stream._client is client
        assert stream._options.json_data["model"] == "fake"
        async for _ in stream:
            pass


def test_an_event_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("chatrack.models.sse_decoder.MAX_EVENT_SIZE", 1000)
    reader = SSEDecoder()
    for _ in range(10):
        assert reader.feed(b"x" * 100) == []
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        reader.feed(b"x")


async def answered(body, api="responses"):
    """Return the events that a provider's stream becomes."""
    async with lean("".join(f"data: {json.dumps(event)}\n\n" for event in body).encode(), 1 << 20) as client:
        return await events_of(client, api, "fake", "hi")


COMPLETED = {"type": "response.completed", "response": {"id": "r", "output": []}}


async def test_a_type_that_comes_last_is_a_type():
    delta = {"content_index": 0, "delta": "x" * 100, "item_id": "m", "output_index": 0, "sequence_number": 1}
    events = await answered([{**delta, "type": "response.output_text.delta"}, COMPLETED])
    assert [event.type for event in events] == ["response.output_text.delta", "response.completed"]


async def test_calls_of_a_response_are_told_apart_by_the_providers_ids_first():
    def done(call_id, **more):
        call = {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}
        return {"type": "response.output_item.done", "item": call, **more}

    calls = [done("A")["item"], done("B")["item"]]
    completed = {"type": "response.completed", "response": {"id": "r", "output": [{"type": "x"}, *calls]}}
    events = await answered([done("A", output_index=0), done("B", output_index=0), completed])
    assert [event.item.call_id for event in events[:2]] == ["A", "B"]
    assert [item.call_id for item in events[2].response.output[1:]] == ["A", "B"]


@pytest.mark.parametrize("reason", ["content_filter", 7, None])
async def test_an_answer_that_is_cut_off_says_so_whatever_else_it_says(reason):
    from chatrack import ModelFailure

    details = {"reason": reason} if reason else "none"
    with pytest.raises(ModelFailure) as caught:
        await answered([{"type": "response.incomplete", "response": {"incomplete_details": details}}])
    assert caught.value.fault == ("filtered" if reason == "content_filter" else "max_output_tokens")
    assert caught.value.code is None or isinstance(caught.value.code, str)


async def test_an_answer_over_chat_may_end_without_a_delta():
    from chatrack import ModelFailure

    end = {"choices": [{"index": 0, "delta": None, "finish_reason": "length"}]}
    with pytest.raises(ModelFailure) as caught:
        await answered([{"choices": [{"index": 0, "delta": {"content": "a"}}]}, end], "chat_completions")
    assert caught.value.fault == "max_output_tokens"


async def test_arguments_that_are_no_text_and_calls_without_anything_to_tell_them_by_are_calls_all_the_same():
    def call(name, arguments):
        function = {"name": name, "arguments": arguments}
        return {"choices": [{"index": 0, "delta": {"tool_calls": [{"function": function}]}}]}

    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    chunks = await answered([call("f", {"a": 1}), call("g", ""), end], "chat_completions")
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.name, call.function.arguments) for call in calls] == [
        (0, "f", '{"a": 1}'),
        (1, "g", ""),
    ]
    assert len({call.id for call in calls}) == 2
