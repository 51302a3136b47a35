"""The proxy passes on what the fake upstream sends, which the tests behind it depend on."""

import json

import httpx
import openai
import pytest

ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


@pytest.fixture
async def client(litellm):
    async with openai.AsyncOpenAI(
        base_url=litellm.url,
        api_key=litellm.key,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    ) as client:
        yield client


async def streamed(client, text, **options):
    """Return the choices of the chunks of an answer."""
    stream = await client.chat.completions.create(
        messages=[{"role": "user", "content": text}], stream=True, **options
    )
    return [choice async for chunk in stream for choice in chunk.choices]


async def test_words_arrive_in_order(client):
    choices = await streamed(client, "hi", model="fake-n5")
    assert [choice.delta.content for choice in choices if choice.delta.content] == [
        f"w{n} " for n in range(5)
    ]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]


async def test_a_tool_call_arrives(client):
    choices = await streamed(client, 'call add {"a": 1}', model="fake", tools=[ADD])
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.function.name] == ["add"]
    assert json.loads("".join(call.function.arguments for call in calls)) == {"a": 1}
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["tool_calls"]


async def test_a_rate_limit_is_passed_on_and_not_retried(client, litellm):
    model = "fake-ratelimit-e429"
    with pytest.raises(openai.RateLimitError):
        await streamed(client, "hi", model=model)
    async with httpx.AsyncClient(trust_env=False) as http:
        requests = (await http.get(litellm.upstream_url.removesuffix("/v1") + "/__requests")).json()
    assert [request["body"]["model"] for request in requests].count(model) == 1
