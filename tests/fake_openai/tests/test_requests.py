"""The fake upstream, seen through the real clients it must satisfy, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx2
import openai
import pytest
from agents import (
    Agent,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.fake_openai import Serving, serve
from tests.support.waiting import LIMIT, until

set_tracing_disabled(True)

ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
RESPONSES_TOOL = {"type": "function", "name": "add", "parameters": ADD, "strict": True}
CHAT_TOOL = {"type": "function", "function": {"name": "add", "parameters": ADD, "strict": True}}
TWO_CALLS = 'call add {"a":1,"b":2}\ncall add {"a":3,"b":4}'


@function_tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def agent_model(api: str, name: str, client: AsyncOpenAI) -> Model:
    kind = OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel
    return kind(model=name, openai_client=client)


# Streams, through the client


async def test_responses_stream_is_the_documented_sequence(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="fake-n3", input="hi", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:  # the client does not validate what it builds
        type(event).model_validate(event.model_dump(warnings=False))
    final = events[-1].response
    assert final.output_text == "w0 w1 w2 "
    assert final.usage.output_tokens == 3
    assert final.id.startswith("resp_")
    assert final.output[0].id.startswith("msg_")


async def test_responses_calls_stream_in_fragments(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="fake", input=TWO_CALLS, tools=[RESPONSES_TOOL], stream=True)
    events = [event async for event in stream]
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    for index, arguments in enumerate(['{"a":1,"b":2}', '{"a":3,"b":4}']):
        mine = [event.delta for event in deltas if event.output_index == index]
        assert len(mine) >= 2
        assert "".join(mine) == arguments
    calls = events[-1].response.output
    assert [call.type for call in calls] == ["function_call"] * 2
    assert all(call.id.startswith("fc_") and call.call_id.startswith("call_") for call in calls)
    assert calls[0].call_id != calls[1].call_id
    for event in events:
        type(event).model_validate(event.model_dump(warnings=False))


async def test_responses_reasoning_comes_first_and_is_encrypted_if_asked(client: AsyncOpenAI) -> None:
    plain = await client.responses.create(model="fake-r", input="hi")
    assert [item.type for item in plain.output] == ["reasoning", "message"]
    assert plain.output[0].encrypted_content is None
    stream = await client.responses.create(
        model="fake-r", input="hi", include=["reasoning.encrypted_content"], stream=True
    )
    events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds.index("response.reasoning_summary_text.done") < kinds.index("response.output_text.delta")
    item = events[-1].response.output[0]
    assert item.id.startswith("rs_")
    assert item.encrypted_content
    for event in events:
        type(event).model_validate(event.model_dump(warnings=False))


async def test_chat_stream_is_the_documented_sequence(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="fake-n3",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:4]] == ["w0 ", "w1 ", "w2 "]
    assert chunks[4].choices[0].finish_reason == "stop"
    assert chunks[5].choices == []
    assert chunks[5].usage.completion_tokens == 3
    assert len(chunks) == 6
    for chunk in chunks:
        type(chunk).model_validate(chunk.model_dump(warnings=False))


async def test_chat_calls_stream_in_fragments(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": TWO_CALLS}], tools=[CHAT_TOOL], stream=True
    )
    calls: dict[int, list[Any]] = {}
    async for chunk in stream:
        assert chunk.usage is None
        for call in chunk.choices[0].delta.tool_calls or []:
            calls.setdefault(call.index, []).append(call)
        finish_reason = chunk.choices[0].finish_reason
    assert finish_reason == "tool_calls"
    assert sorted(calls) == [0, 1]
    assert [calls[0][0].function.name, calls[0][0].id[:5]] == ["add", "call_"]
    assert len(calls[0]) >= 3
    assert "".join(call.function.arguments for call in calls[1]) == '{"a":3,"b":4}'


async def test_unstreamed_answers(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="fake-n2", input="hi")
    assert response.output_text == "w0 w1 "
    type(response).model_validate(response.model_dump(warnings=False))
    completion = await client.chat.completions.create(
        model="fake-r", messages=[{"role": "user", "content": TWO_CALLS}], tools=[CHAT_TOOL]
    )
    type(completion).model_validate(completion.model_dump(warnings=False))
    message = completion.choices[0].message
    assert [call.function.arguments for call in message.tool_calls] == ['{"a":1,"b":2}', '{"a":3,"b":4}']
    assert message.reasoning_content


# What the conversation decides


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_agent_runs_parallel_tools(client: AsyncOpenAI, upstream: Serving, api: str) -> None:
    agent = Agent(name="a", instructions="Sum.", tools=[add], model=agent_model(api, "fake-r", client))
    result = Runner.run_streamed(agent, TWO_CALLS)
    deltas = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert result.final_output == "".join(deltas) == "Tool said: 3; 7"
    assert upstream.state.finished == 2
    # A second turn replays the items of the first, ids included.
    again = [*result.to_input_list(), {"role": "user", "content": "history?"}]
    result = Runner.run_streamed(agent, again)
    async for _ in result.stream_events():
        pass
    history = result.final_output.split(" | ")
    kept = [turn for turn in history if not turn.startswith("reasoning:")]
    assert kept == [
        'user:call add {"a":1,"b":2} call add {"a":3,"b":4}',
        'call:add({"a":1,"b":2})',
        'call:add({"a":3,"b":4})',
        "output:3",
        "output:7",
        "assistant:Tool said: 3; 7",
        "user:history?",
    ]


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("echo: a  b\nc", "a  b\nc"),
        ("instructions?", "Be brief."),
        ("call sub {}", "w0 w1 "),
        ("x", "w0 w1 "),
    ],
)
async def test_agent_answers(client: AsyncOpenAI, api: str, said: str, answer: str) -> None:
    agent = Agent(name="a", instructions="Be brief.", tools=[add], model=agent_model(api, "fake-n2", client))
    result = Runner.run_streamed(agent, said)
    async for _ in result.stream_events():
        pass
    assert result.final_output == answer


async def test_broken_arguments_are_passed_on(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="fake", input='call add {"a":', tools=[RESPONSES_TOOL])
    assert response.output[0].arguments == '{"a":'


# Refusals


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content) if content else "hi"}


def call(call_id: str = "call_1", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "add", "arguments": "{}", **more}


def output(call_id: str = "call_1", **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "1", **more}


def thought(**more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **more}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}}


def message(**more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": "x", **more}


TEXT = {"type": "output_text", "text": "x", "annotations": []}


@pytest.mark.parametrize(
    ("body", "param", "part"),
    [
        ({"tools": [tool("a.b")]}, "tools[0].name", "pattern"),
        ({"tools": [tool("a" * 65)]}, "tools[0].name", "maximum length 64"),
        ({"tools": [tool("a"), tool("a")]}, "tools[1].name", "unique"),
        ({"tools": [tool("a") | {"strict": True}]}, "tools[0].parameters", "additionalProperties"),
        ({"tool_choice": {"type": "function", "name": "b"}, "tools": [tool("a")]}, "tool_choice", "'b' not found"),
        ({"input": [user(), user(), message(id="x")]}, "input[2].id",
         "Invalid 'input[2].id': 'x'. Expected an ID that begins with 'msg'."),
        ({"input": [call(id="msg_1"), output()]}, "input[0].id", "begins with 'fc'"),
        ({"input": [thought(id="x"), message()]}, "input[0].id", "begins with 'rs'"),
        ({"input": [message(id="msg_" + "x" * 61), user()]}, "input[0].id", "string too long"),
        ({"input": [message(id="msg_1"), message(id="msg_1")]}, "input", "Duplicate item found with id msg_1"),
        ({"input": [call(""), output("")]}, "input[0].call_id", "empty string"),
        ({"input": [call("c" * 65), output("c" * 65)]}, "input[0].call_id", "string too long"),
        ({"input": [call(), user()]}, "input", "No tool output found for function call call_1."),
        ({"input": [user(), output()]}, "input",
         "No tool call found for function call output with call_id call_1."),
        ({"input": [output(), call()]}, "input", "No tool call found"),
        ({"input": [call(), output(), output()]}, "input", "Duplicate function call output"),
        ({"input": [call(), call(), output()]}, "input", "Duplicate function call found"),
        ({"input": [user(TEXT)]}, "input[0].content[0]", "'output_text'. Supported values are: 'input_text'"),
        ({"input": [user({"type": "text", "text": "x"})]}, "input[0].content[0]", "Invalid value: 'text'"),
        ({"input": [message(content=[{"type": "input_text", "text": "x"}])]}, "input[0].content[0]",
         "Supported values are: 'output_text', and 'refusal'."),
        ({"input": [user({"type": "input_text", "text": None})]}, "input[0].content[0].text", "but got null"),
        ({"input": [{"role": "bot", "content": "x"}]}, "input[0].role", "Invalid value: 'bot'"),
        ({"input": [{"type": "thing"}]}, "input[0]", "Invalid value: 'thing'"),
        ({"input": [message(created_by="x")]}, "input[0].created_by", "Unknown parameter"),
        ({"input": [thought(), user()]}, "input", "without its required following item"),
        ({"input": [user(), thought()]}, "input", "without its required following item"),
        ({"input": []}, "input", "must be provided"),
        ({"input": ""}, "input", "must be provided"),
        ({"input": 5}, "input", "Invalid type for 'input': expected one of a string or an array"),
        ({"messages": []}, "messages", "Unknown parameter: 'messages'."),
        ({"temperature": "1"}, "temperature", "expected a decimal, but got a string"),
        ({"stream": "yes"}, "stream", "expected a boolean"),
        ({"include": ["all"]}, "include[0]", "Invalid value"),
        ({"model": None}, "model", "Missing required parameter"),
    ],
)  # fmt: skip
async def test_responses_refusals(client: AsyncOpenAI, body: dict[str, Any], param: str, part: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/responses", body={"model": "fake", "input": "hi"} | body, cast_to=object)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert part in caught.value.body["message"]
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    "items",
    [
        [user(), message(content=[TEXT]), user()],
        [thought(), call(id="fc_1"), output(), message(id="msg_1"), user()],
        [call("a"), call("b"), output("b"), output("a")],
        [message(content=[{"type": "refusal", "refusal": "no"}], id=None), user()],
        [user({"type": "input_image", "image_url": "data:"}, {"type": "input_file", "file_id": "file-1"})],
    ],
)
async def test_responses_accepts(client: AsyncOpenAI, items: list[Any]) -> None:
    assert (await client.responses.create(model="fake", input=items)).output_text


def chat_call(call_id: Any = "call_1", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "add", "arguments": arguments}}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls)}


def told(call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "1"}


def chat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


NAMED = {"type": "function", "function": {"name": "b"}}
UNANSWERED = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
UNASKED = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."


@pytest.mark.parametrize(
    ("body", "param", "part"),
    [
        ({"messages": []}, "messages", "empty array"),
        ({"messages": "hi"}, "messages", "expected an array"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role", "Invalid value: 'bot'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "but got null"),
        ({"messages": [user({"type": "input_text", "text": "x"})]}, "messages[0].content[0].type",
         "Invalid value: 'input_text'"),
        ({"messages": [{"role": "assistant", "content": [{"type": "image_url"}]}]},
         "messages[0].content[0].type", "Supported values are: 'text', and 'refusal'."),
        ({"messages": [user({"type": "text", "text": 1})]}, "messages[0].content[0].text", "expected a string"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content", "got null"),
        ({"messages": [calling()]}, "messages[0].tool_calls", "empty array"),
        ({"messages": [calling(chat_call()), user()]}, "messages.[1].role", UNANSWERED),
        ({"messages": [calling(chat_call(), chat_call("call_2")), told()]}, "messages.[2].role", "call_2"),
        ({"messages": [calling(chat_call()), told(), told()]}, "messages.[2].role", UNASKED),
        ({"messages": [user(), told()]}, "messages.[1].role", UNASKED),
        ({"messages": [calling(chat_call()), user(), told()]}, "messages.[1].role", UNANSWERED),
        ({"messages": [calling(chat_call(""))]}, "messages[0].tool_calls[0].id", "empty string"),
        ({"messages": [calling(chat_call("c" * 41))]}, "messages[0].tool_calls[0].id", "maximum length 40"),
        ({"messages": [calling(chat_call(arguments={}))]}, "messages[0].tool_calls[0].function.arguments",
         "expected a string, but got an object"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", "only allowed when 'tools' are specified"),
        ({"tool_choice": "auto"}, "tool_choice", "only allowed when 'tools' are specified"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "only allowed when 'stream'"),
        ({"tools": []}, "tools", "empty array"),
        ({"tools": [chat_tool("a b")]}, "tools[0].function.name", "pattern"),
        ({"tools": [chat_tool("a" * 65)]}, "tools[0].function.name", "maximum length 64"),
        ({"tools": [chat_tool("a"), chat_tool("a")]}, "tools[1].name", "unique"),
        ({"tools": [tool("a")]}, "tools[0].function", "Missing required parameter"),
        ({"tools": [chat_tool("a")], "tool_choice": NAMED}, "tool_choice", "'b' not found"),
        ({"input": "hi"}, "input", "Unknown parameter: 'input'."),
        ({"n": "1"}, "n", "expected an integer"),
    ],
)  # fmt: skip
async def test_chat_refusals(client: AsyncOpenAI, body: dict[str, Any], param: str, part: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post(
            "/chat/completions", body={"model": "fake", "messages": [user()]} | body, cast_to=object
        )
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert part in caught.value.body["message"]


# Errors, keys, and connections


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_error_statuses(client: AsyncOpenAI, status: int, kind: type[openai.APIStatusError]) -> None:
    for path, source in (("/responses", {"input": "hi"}), ("/chat/completions", {"messages": [user()]})):
        with pytest.raises(kind) as caught:
            await client.post(
                path, body={"model": f"fake-e{status}", "stream": True} | source, cast_to=object
            )
        assert caught.value.status_code == status
        assert set(caught.value.body) == {"message", "type", "param", "code"}
        assert (caught.value.response.headers.get("retry-after") == "1") == (status in {429, 503})


@pytest.mark.parametrize("model", ["gpt-4.1", "fake-q", "faker", "fake-n"])
async def test_unknown_models(client: AsyncOpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model=model, input="hi")
    assert caught.value.code == "model_not_found"


async def test_keys(upstream: Serving) -> None:
    async with AsyncOpenAI(api_key="sk-secret-wrong", base_url=upstream.url, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.responses.create(model="fake", input="hi")
    assert caught.value.code == "invalid_api_key"
    assert "***rong." in caught.value.message
    assert "secret" not in caught.value.message
    async with httpx2.AsyncClient() as raw:
        answer = await raw.post(upstream.url + "/responses", json={"model": "fake", "input": "hi"})
        broken = await raw.post(
            upstream.url + "/responses", content=b"{", headers={"Authorization": "Bearer sk-x"}
        )
    assert answer.status_code == 401
    assert broken.status_code == 400


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_stream_is_cut_after_n_tokens(client: AsyncOpenAI, upstream: Serving, api: str) -> None:
    deltas: list[str] = []

    async def read() -> None:
        if api == "responses":
            async for event in await client.responses.create(model="fake-x3", input="hi", stream=True):
                deltas.extend([event.delta] if event.type == "response.output_text.delta" else [])
        else:
            stream = await client.chat.completions.create(model="fake-x3", messages=[user()], stream=True)
            async for chunk in stream:
                deltas.extend(filter(None, [chunk.choices[0].delta.content]))

    with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
        await read()
    assert deltas == ["w0 ", "w1 ", "w2 "]
    await until(lambda: upstream.state.open == 0)
    assert upstream.state.stats()["aborted"] == 0


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("fake-n100000-d50", True),
        ("fake-n100000-d50", False),
        ("fake-f600000", True),
        ("fake-f600000", False),
        ("fake-n1000000", True),
    ],
)
async def test_an_abort_is_counted(client: AsyncOpenAI, upstream: Serving, model: str, stream: bool) -> None:
    async def read() -> None:
        answer = await client.responses.create(model=model, input="hi", stream=stream)
        async for _ in answer:
            pass

    task = asyncio.create_task(read())
    await until(lambda: upstream.state.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.state.aborted == 1)
    assert upstream.state.open == 0
    assert upstream.state.finished == 0


@pytest.mark.parametrize(
    ("model", "least"),
    [("fake-n4-f100-d50", 0.1 + 3 * 0.05), ("fake-n6-k3-d100", 0.1), ("fake-n1-f200", 0.2)],
)
async def test_pauses_last_as_long_as_the_name_says(client: AsyncOpenAI, model: str, least: float) -> None:
    began = time.monotonic()
    async for _ in await client.responses.create(model=model, input="hi", stream=True):
        pass
    assert time.monotonic() - began >= least


async def test_the_tokens_of_a_burst_come_without_a_pause(client: AsyncOpenAI) -> None:
    async with asyncio.timeout(LIMIT):
        stream = await client.responses.create(model="fake-n6-k3-d600000", input="hi", stream=True)
        seen = 0
        async for event in stream:
            seen += event.type == "response.output_text.delta"
            if seen == 3:
                break
        await stream.close()


async def test_bookkeeping_over_http(client: AsyncOpenAI, upstream: Serving) -> None:
    await client.responses.create(model="fake", input="hi")
    root = upstream.url.removesuffix("/v1")
    async with httpx2.AsyncClient(base_url=root) as raw:
        stats = (await raw.get("/__stats")).json()
        assert stats == {
            "started": 1, "finished": 1, "aborted": 0, "open": 0, "requests": 1,
        }  # fmt: skip
        (request,) = (await raw.get("/__requests")).json()
        assert request["path"] == "/v1/responses"
        assert request["body"] == {"model": "fake", "input": "hi"}
        assert "user-agent" in request["headers"]
        assert "sk-test" not in json.dumps(request)
        assert (await raw.post("/__reset")).status_code == 200
        assert (await raw.get("/__stats")).json()["requests"] == 0
        assert (await raw.get("/v1/nothing")).status_code == 404


async def test_serving_ends_with_streams_under_way() -> None:
    async with (
        serve() as upstream,
        AsyncOpenAI(api_key="sk-test", base_url=upstream.url, max_retries=0) as client,
    ):
        agent = Agent(
            name="a",
            model=agent_model("responses", "fake-n100-d1000", client),
            model_settings=ModelSettings(store=False),
        )
        result = Runner.run_streamed(agent, "hi")
        events = result.stream_events()
        await anext(events)
        await until(lambda: upstream.state.open == 1)
        result.cancel()
        async for _ in events:
            pass
    assert upstream.state.open == 0
