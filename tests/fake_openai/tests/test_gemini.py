"""The fake upstream as Gemini's OpenAI-compatible endpoint, and thought signatures."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.fake_openai import Serving

set_tracing_disabled(True)

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
OUTPUT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
TOOLS = [{"type": "function", "function": {"name": "add"}}]


@function_tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"store": False}, 'Unknown name "store": Cannot find field.'),
        ({"metadata": {}, "seed": 1}, 'Unknown name "metadata": Cannot find field.\nInvalid JSON payload'),
        ({"prompt_cache_key": "k"}, "prompt_cache_key"),
        ({"frequency_penalty": 0.0}, "frequency_penalty"),
        ({"reasoning": {}}, "reasoning"),
        ({"messages": [SYSTEM]}, "contents is not specified"),
        ({"messages": [SYSTEM, {"role": "user", "content": ""}]}, "contents[0].parts: contents.parts must not be empty"),
        ({"messages": [USER, {"role": "assistant", "content": ""}, USER]}, "contents[1].parts"),
        ({"messages": [USER, {"role": "assistant", "content": None}, USER]}, "got: null"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "valid role"),
        ({"messages": [USER, OUTPUT]}, "function response turn comes immediately after a function call turn"),
        ({"messages": [USER, CALLING, USER]}, "number of function response parts"),
        ({"messages": [USER, CALLING]}, "number of function response parts"),
        ({"messages": [CALLING, OUTPUT]}, "function call turn comes immediately after a user turn"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}, CALLING, OUTPUT]}, "comes immediately after"),
        ({"messages": [USER, CALLING, OUTPUT | {"tool_call_id": "other"}]}, "Name cannot be empty"),
    ],
)  # fmt: skip
async def test_refusals(raw: httpx2.AsyncClient, more: dict[str, Any], part: str) -> None:
    body = {"model": "fake", "messages": [USER], **more}
    answer = await raw.post("/v1beta/openai/chat/completions", json=body)
    assert answer.status_code == 400
    ((wrapped),) = answer.json()
    assert wrapped["error"]["code"] == 400
    assert wrapped["error"]["status"] == "INVALID_ARGUMENT"
    assert part in wrapped["error"]["message"]
    assert ("details" in wrapped["error"]) == ("Unknown name" in wrapped["error"]["message"])


@pytest.mark.parametrize(
    "more",
    [
        {"stream_options": {"include_usage": True}, "stream": True, "max_completion_tokens": 5},
        {"tools": TOOLS, "parallel_tool_calls": True, "extra_body": {"google": {}}},
        {"messages": [SYSTEM, USER, CALLING, OUTPUT, {"role": "assistant", "content": "x"}, USER]},
        {"messages": [USER, {**CALLING, "content": ""}, OUTPUT]},
    ],
)
async def test_accepted(raw: httpx2.AsyncClient, more: dict[str, Any]) -> None:
    answer = await raw.post(
        "/v1beta/openai/chat/completions", json={"model": "fake", "messages": [USER], **more}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("model", "status", "name"),
    [
        ("fake-e429", 429, "RESOURCE_EXHAUSTED"),
        ("fake-e503", 503, "UNAVAILABLE"),
        ("gemini-9", 404, "NOT_FOUND"),
        ("fake-i10", 400, "INVALID_ARGUMENT"),
    ],
)
async def test_errors_are_lists(post: Any, model: str, status: int, name: str) -> None:
    answer = await post("gemini", model)
    assert answer.status_code == status
    assert answer.json()[0]["error"]["status"] == name


async def test_bad_keys_are_bad_requests(upstream: Serving) -> None:
    url = upstream.url.replace("/v1", "/v1beta/openai")
    async with AsyncOpenAI(api_key="sk-wrong", base_url=url, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="fake", messages=[USER])
    assert "API key not valid" in caught.value.response.text


# Thought signatures


@pytest.mark.parametrize("streamed", [True, False])
async def test_agents_bring_the_signatures_back(upstream: Serving, streamed: bool) -> None:
    url = upstream.url.replace("/v1", "/v1beta/openai")
    async with AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        model = OpenAIChatCompletionsModel(model="fake-gemini3", openai_client=client)
        agent = Agent(name="a", tools=[add], model=model)
        said = 'call add {"a":1,"b":2}\ncall add {"a":3,"b":4}'
        if streamed:
            result = Runner.run_streamed(agent, said)
            async for _ in result.stream_events():
                pass
        else:
            result = await Runner.run(agent, said)
    assert result.final_output == "Tool said: 3; 7"
    assert len(upstream.state.signatures) == 2


@pytest.mark.parametrize(
    ("api", "model", "signed"),
    [
        ("chat", "fake-sig", True),
        ("gemini", "fake-sig", True),
        ("gemini", "fake-gemini3-flash", True),
        ("gemini", "fake-gemini", False),
        ("chat", "fake-gemini3", False),
    ],
)
async def test_who_signs(post: Any, stream: Any, api: str, model: str, signed: bool) -> None:
    answer = (await post(api, model, "call add {}", tools=TOOLS)).json()
    message = answer["choices"][0]["message"]
    (call,) = message["tool_calls"]
    events = await stream(api, model, "call add {}", tools=TOOLS)
    deltas = [event["choices"][0]["delta"] for event in events]
    (opening,) = [
        call for delta in deltas for call in delta.get("tool_calls", []) if call["function"].get("name")
    ]
    assert ("extra_content" in call) == ("extra_content" in opening) == signed
    result = {"role": "tool", "tool_call_id": call["id"], "content": "1"}
    history = [USER, {"role": "assistant", "tool_calls": [call]}, result]
    assert (await post(api, model, history)).status_code == 200
    call.pop("extra_content", None)
    refused = await post(api, model, history)
    assert refused.status_code == (400 if signed else 200)
    if signed:
        assert "missing a thought_signature" in refused.text
        assert "`default_api:add` , position 2" in refused.text


async def test_calls_of_others_need_no_signature(post: Any) -> None:
    assert (await post("chat", "fake-sig", [USER, CALLING, OUTPUT])).status_code == 200
