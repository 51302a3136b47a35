"""What the fake upstream answers when its model's name asks for more than plain words."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from openai.types.responses import ResponseOutputMessage
from openai.types.shared import Reasoning

set_tracing_disabled(True)

APIS = pytest.mark.parametrize("api", ["responses", "chat"])
ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
TOOLS = {
    "responses": [{"type": "function", "name": "add", "parameters": ADD}],
    "chat": [{"type": "function", "function": {"name": "add", "parameters": ADD}}],
}
TWO_CALLS = 'call add {"a":1,"b":2}\ncall add {"a":3,"b":4}'
ARGUMENTS = ['{"a":1,"b":2}', '{"a":3,"b":4}']


@function_tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def call_deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        call
        for event in events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls") or []
    ]


def validated(events: list[Any]) -> list[Any]:
    for event in events:
        type(event).model_validate(event.model_dump(warnings=False))
    return events


async def typed(client: AsyncOpenAI, model: str, **more: Any) -> list[Any]:
    """Return the events of a streamed response, each validated as the type that OpenAI's client gives it."""
    stream = await client.responses.create(model=model, input="hi", stream=True, **more)
    return validated([event async for event in stream])


# Tool calls


async def test_chat_calls_without_ids(stream: Any, post: Any) -> None:
    deltas = call_deltas(await stream("chat", "fake-noids", TWO_CALLS, tools=TOOLS["chat"]))
    assert deltas
    assert not any("id" in delta for delta in deltas)
    answer = (await post("chat", "fake-noids", TWO_CALLS, tools=TOOLS["chat"])).json()
    assert not any("id" in call for call in answer["choices"][0]["message"]["tool_calls"])


async def test_responses_calls_without_ids(post: Any) -> None:
    answer = (await post("responses", "fake-noids", TWO_CALLS, tools=TOOLS["responses"])).json()
    assert [item["call_id"] for item in answer["output"]] == ["", ""]


@APIS
async def test_calls_of_one_id(post: Any, api: str) -> None:
    for _ in range(2):
        answer = (await post(api, "fake-sameids", TWO_CALLS, tools=TOOLS[api])).json()
        if api == "responses":
            ids = [item["call_id"] for item in answer["output"]]
        else:
            ids = [call["id"] for call in answer["choices"][0]["message"]["tool_calls"]]
        assert ids == ["call_0", "call_0"]


@pytest.mark.parametrize(("model", "indexes"), [("fake-index0", [0, 0]), ("fake-noindex", [None, None])])
async def test_whole_calls_without_an_index_of_their_own(
    stream: Any, model: str, indexes: list[int | None]
) -> None:
    deltas = call_deltas(await stream("chat", model, TWO_CALLS, tools=TOOLS["chat"]))
    assert [delta.get("index") for delta in deltas] == indexes
    assert ("index" in deltas[0]) == (indexes[0] == 0)
    assert [delta["function"]["arguments"] for delta in deltas] == ARGUMENTS
    assert len({delta["id"] for delta in deltas}) == 2


@APIS
async def test_calls_interleave(stream: Any, client: AsyncOpenAI, api: str) -> None:
    events = await stream(api, "fake-interleave", TWO_CALLS, tools=TOOLS[api])
    if api == "chat":
        pieces = [(call["index"], call["function"]["arguments"]) for call in call_deltas(events)]
        pieces = [piece for piece in pieces if piece[1]]
    else:
        kind = "response.function_call_arguments.delta"
        pieces = [(event["output_index"], event["delta"]) for event in events if event["type"] == kind]
        assert [item["arguments"] for item in events[-1]["response"]["output"]] == ARGUMENTS
        validated(
            [
                event
                async for event in await client.responses.create(
                    model="fake-interleave", input=TWO_CALLS, tools=TOOLS[api], stream=True
                )
            ]
        )
    assert [index for index, _ in pieces] == [0, 1] * (len(pieces) // 2)
    assert len(pieces) >= 4
    for place, arguments in enumerate(ARGUMENTS):
        assert "".join(piece for index, piece in pieces if index == place) == arguments


@APIS
async def test_a_looping_model_never_stops_calling(post: Any, api: str) -> None:
    said: Any = "hi"
    if api == "responses":
        answer = (await post(api, "fake-loop", said, tools=TOOLS[api])).json()
        (call,) = answer["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "1"}
        answer = (await post(api, "fake-loop", [call, result], tools=TOOLS[api])).json()
        assert [item["arguments"] for item in answer["output"]] == ['{"a": 1, "b": "x"}']
        assert (await post(api, "fake-loop")).json()["output"][0]["type"] == "message"
    else:
        message = (await post(api, "fake-loop", said, tools=TOOLS[api])).json()["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "1"}
        answer = (await post(api, "fake-loop", [message, result], tools=TOOLS[api])).json()
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "add", "arguments": '{"a": 1, "b": "x"}'}


# Refusals, and answers that end early


async def test_responses_refuse(client: AsyncOpenAI) -> None:
    events = await typed(client, "fake-refuse-n2")
    kinds = [event.type for event in events]
    assert kinds.count("response.refusal.delta") == 2
    assert "response.refusal.done" in kinds
    assert "response.output_text.delta" not in kinds
    message = events[-1].response.output[0]
    assert isinstance(message, ResponseOutputMessage)
    assert message.content[0].refusal == "w0 w1 "


async def test_chat_refuses(stream: Any, post: Any) -> None:
    events = await stream("chat", "fake-refuse-n2")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("refusal") or "" for delta in deltas) == "w0 w1 "
    assert not any(delta.get("content") for delta in deltas)
    message = (await post("chat", "fake-refuse-n2")).json()["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "w0 w1 ")


@pytest.mark.parametrize(
    ("model", "reason"), [("fake-filter", "content_filter"), ("fake-length", "max_output_tokens")]
)
async def test_responses_are_incomplete(client: AsyncOpenAI, post: Any, model: str, reason: str) -> None:
    last = (await typed(client, f"{model}-n2"))[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details.reason == reason
    assert last.response.output_text == "w0 w1 "
    assert last.response.output[0].status == "incomplete"
    last = (await typed(client, f"{model}-n0"))[-1]
    assert last.type == "response.incomplete"
    assert last.response.output == []
    assert (await post("responses", model)).json()["status"] == "incomplete"


@pytest.mark.parametrize(("model", "reason"), [("fake-filter", "content_filter"), ("fake-length", "length")])
async def test_chat_ends_early(stream: Any, post: Any, model: str, reason: str) -> None:
    for tokens, said in ((0, ""), (2, "w0 w1 ")):
        events = await stream("chat", f"{model}-n{tokens}")
        assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events) == said
        assert events[-1]["choices"][0]["finish_reason"] == reason
    assert (await post("chat", model)).json()["choices"][0]["finish_reason"] == reason


# Thinking


async def test_responses_think_in_text(client: AsyncOpenAI) -> None:
    events = await typed(client, "fake-thinktext")
    kinds = [event.type for event in events]
    assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
    assert kinds.count("response.reasoning_text.delta") > 2
    item = events[-1].response.output[0]
    assert (item.type, item.summary) == ("reasoning", [])
    assert item.content[0].text == "Thinking about what to answer. "


async def test_chat_thinks_in_text(stream: Any, post: Any) -> None:
    deltas = [event["choices"][0]["delta"] for event in await stream("chat", "fake-thinktext")]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == "Thinking about what to answer. "
    assert not any("reasoning_content" in delta for delta in deltas)
    message = (await post("chat", "fake-thinktext")).json()["choices"][0]["message"]
    assert message["reasoning"] == "Thinking about what to answer. "


async def test_encrypted_reasoning_is_replayed(client: AsyncOpenAI) -> None:
    agent = Agent(
        name="a",
        tools=[add],
        model=OpenAIResponsesModel(model="fake-r", openai_client=client),
        model_settings=ModelSettings(
            store=False,
            reasoning=Reasoning(effort="low"),
            response_include=["reasoning.encrypted_content"],
        ),
    )
    result = await Runner.run(agent, 'call add {"a":1,"b":2}')
    again = [*result.to_input_list(), {"role": "user", "content": "history?"}]
    history = (await Runner.run(agent, again)).final_output
    assert history.split(" | ") == [
        'user:call add {"a":1,"b":2}',
        "reasoning:Thinking about what to answer.",
        'call:add({"a":1,"b":2})',
        "output:3",
        "reasoning:Thinking about what to answer.",
        "assistant:Tool said: 3",
        "user:history?",
    ]


MESSAGE = {"type": "message", "role": "assistant", "content": "x"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}


async def test_foreign_encrypted_reasoning_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(
            model="fake", input=[{**THOUGHT, "encrypted_content": "gAAAAABforeign"}, MESSAGE]
        )
    assert caught.value.code == "invalid_encrypted_content"


async def test_unstored_reasoning_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="not persisted") as caught:
        await client.responses.create(model="fake", input=[THOUGHT, MESSAGE], store=False)
    assert caught.value.param == "input"


async def test_encrypted_reasoning_needs_no_id(client: AsyncOpenAI) -> None:
    include = ["reasoning.encrypted_content"]
    answer = await client.responses.create(model="fake-r", input="hi", include=include, store=False)
    thought = answer.output[0].model_dump(exclude={"id"}, exclude_none=True)
    again = await client.responses.create(model="fake", input=[thought, MESSAGE], store=False)
    assert again.output_text


# What runs at the provider


async def test_responses_search(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="fake-search-n2", input="hi", stream=True)
    events = [event async for event in stream]
    # As from the real API the item has no action yet when it is added, though the client's type demands one.
    validated([event for event in events if event.type != "response.output_item.added"])
    kinds = [event.type for event in events]
    stages = [kind for kind in kinds if kind.startswith("response.web_search_call.")]
    assert [stage.rpartition(".")[2] for stage in stages] == ["in_progress", "searching", "completed"]
    search, message = events[-1].response.output
    assert search.action.sources[0].url == message.content[0].annotations[0].url
    assert kinds.count("response.output_text.annotation.added") == 1
    assert message.content[0].annotations[0].end_index == len("w0 w1 ")


async def test_chat_cites(stream: Any, post: Any) -> None:
    events = await stream("chat", "fake-search")
    (citations,) = filter(None, (event["choices"][0]["delta"].get("annotations") for event in events))
    assert citations[0]["type"] == "url_citation"
    assert citations[0]["url_citation"]["url"].startswith("https://")
    message = (await post("chat", "fake-search")).json()["choices"][0]["message"]
    assert message["annotations"] == citations


async def test_responses_draw(client: AsyncOpenAI) -> None:
    events = await typed(client, "fake-image")
    kinds = [event.type for event in events]
    assert "response.image_generation_call.generating" in kinds
    assert kinds.index("response.image_generation_call.completed") < kinds.index("response.output_text.delta")
    added = next(event.item for event in events if event.type == "response.output_item.added")
    image = events[-1].response.output[0]
    assert (added.status, image.status) == ("generating", "completed")
    assert base64.b64decode(image.result).startswith(b"\x89PNG")


# Usage


async def test_chat_sends_usage_if_asked(stream: Any) -> None:
    assert not any("usage" in event for event in await stream("chat", "fake"))
    events = await stream("chat", "fake", stream_options={"include_usage": True})
    assert [event["usage"] is not None for event in events] == [False] * (len(events) - 1) + [True]
