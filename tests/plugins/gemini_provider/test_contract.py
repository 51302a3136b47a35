"""The provider contract over Gemini's endpoint, and what is Gemini's own: signatures, and what it refuses."""

import agents
import pytest
from agents import ModelSettings, Runner

from chatrack import Secret
from chatrack_gemini_provider import GeminiProviderPlugin
from tests.support.providers import FakeContract, provided

UNSIGNED = "skip_thought_signature_validator"

QUIET = agents.RunConfig(tracing_disabled=True)

ELSEWHERE = [
    {"role": "user", "content": "What is on my list?"},
    {"type": "function_call", "call_id": "5d41402ab", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "5d41402ab", "output": "milk"},
]


@agents.function_tool
def look() -> str:
    """Look."""
    return "bread"


def calls_of(body):
    """Return the tool calls in a request, and their signatures."""
    return [
        (call["id"], call.get("extra_content", {}).get("google", {}).get("thought_signature"))
        for message in body["messages"]
        for call in message.get("tool_calls") or []
    ]


class Gemini(FakeContract):
    @pytest.fixture
    def url(self, upstream):
        return upstream.url.replace("/v1", "/v1beta/openai/")

    def opened(self, url, key):
        return provided(GeminiProviderPlugin, "gemini", api_key=Secret(key), base_url=url)

    async def test_settings_that_the_endpoint_refuses_are_left_out(self, model):
        settings = ModelSettings(
            store=True, metadata={"a": "b"}, frequency_penalty=0.5, presence_penalty=0.5, verbosity="low"
        )
        agent = agents.Agent(name="a", model=model, model_settings=settings)
        assert (await Runner.run(agent, "echo: hi", run_config=QUIET)).final_output == "hi"


class TestGeminiThatDoesNotSign(Gemini):
    @pytest.fixture
    def model_name(self):
        return "fake-gemini-2.5"

    async def test_calls_of_other_models_are_not_signed(self, model, upstream):
        agent = agents.Agent(name="a", model=model, tools=[look])
        await Runner.run(agent, [*ELSEWHERE, {"role": "user", "content": "call look {}"}], run_config=QUIET)
        assert [signature for _, signature in calls_of(upstream.state.log[-1]["body"])] == [None, None]


class TestGeminiThatSigns(Gemini):
    @pytest.fixture
    def model_name(self):
        return "fake-gemini3"

    @pytest.mark.parametrize("streamed", [True, False])
    async def test_own_calls_keep_their_signatures_and_those_of_others_get_one(
        self, model, upstream, streamed
    ):
        agent = agents.Agent(name="a", model=model, tools=[look])
        given = [*ELSEWHERE, {"role": "user", "content": "call look {}\ncall look {}"}]
        if streamed:
            result = Runner.run_streamed(agent, given, run_config=QUIET)
            async for _event in result.stream_events():
                pass
        else:
            result = await Runner.run(agent, given, run_config=QUIET)
        again = [*result.to_input_list(), {"role": "user", "content": "history?"}]
        await Runner.run(agent, again, run_config=QUIET)
        for request in list(upstream.state.log)[-2:]:
            (foreign, signed_so), *own = calls_of(request["body"])
            assert (foreign, signed_so) == ("5d41402ab", UNSIGNED)
            assert len(own) == 2
            assert own == [(call_id, upstream.state.signatures[call_id]) for call_id, _ in own]
