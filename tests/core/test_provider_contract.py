"""The provider contract over every built-in provider, and what makes it easy for authors."""

import re
from pathlib import Path

import agents
import pytest

from chatrack import Secret
from chatrack.builtin.compatible_provider import CompatibleEndpoint, CompatibleProviderPlugin
from chatrack.builtin.demo_provider import DemoProviderPlugin
from chatrack.builtin.openai_provider import OpenAIProviderPlugin
from chatrack.testing import ProviderContract, ProviderScript
from tests.support.providers import FakeContract, provided


class OpenAI(FakeContract):
    def opened(self, url, key):
        return provided(OpenAIProviderPlugin, "openai", api_key=Secret(key), base_url=url, api=self.api)


class TestOpenAIOverResponses(OpenAI):
    api = "responses"


class TestOpenAIOverChatCompletions(OpenAI):
    api = "chat_completions"


class Compatible(FakeContract):
    def opened(self, url, key):
        endpoint = CompatibleEndpoint(base_url=url, api_key=Secret(key), api=self.api)
        return provided(CompatibleProviderPlugin, "mine", endpoints={"mine": endpoint})


class TestCompatibleOverResponses(Compatible):
    api = "responses"


class TestCompatibleOverChatCompletions(Compatible):
    api = "chat_completions"


class TestDemo(ProviderContract):
    test_a_refused_request_is_a_model_failure_that_shows_no_key = None  # it has no key, and refuses nobody

    @pytest.fixture
    def provider(self):
        return DemoProviderPlugin(DemoProviderPlugin.Settings(delay=0)).model_providers()["demo"]

    @pytest.fixture
    def slow_model(self):
        plugin = DemoProviderPlugin(DemoProviderPlugin.Settings(delay=0.02))
        return plugin.model_providers()["demo"].get_model(None)


class TestOddEndpointOverChatCompletions(Compatible):
    api = "chat_completions"

    @pytest.fixture
    def model_name(self):
        return "fake-noids-interleave-crlf-comments-r"


class TestOddEndpointOverResponses(Compatible):
    api = "responses"

    @pytest.fixture
    def model_name(self):
        return "fake-noids-interleave-thinktext-search"


async def test_the_guides_provider_is_one_and_so_is_its_test(upstream):
    guide = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    samples = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    (plugin,) = [sample for sample in samples if "class AcmeProviderPlugin" in sample]
    (test,) = [sample for sample in samples if "class TestAcmeProvider" in sample]
    acme = plugin.replace("https://api.acme.example/v1", upstream.url).replace("acme-large", "fake")
    names: dict = {}
    exec(f"{acme}\n{test}", names)
    assert issubclass(names["TestAcmeProvider"], ProviderContract)
    async with names["acme"]("sk-right") as provider:
        agent = agents.Agent(name="a", model=provider.get_model(None))
        run_config = agents.RunConfig(tracing_disabled=True)
        result = await agents.Runner.run(agent, "echo: it works", run_config=run_config)
        assert result.final_output == "it works"


def test_what_a_model_cannot_do_is_skipped_by_name():
    contract = type("Contract", (ProviderContract,), {"script": ProviderScript(parallel=False)})()
    test = contract.test_parallel_calls_have_ids_of_their_own_and_get_their_own_results(None)
    with pytest.raises(pytest.skip.Exception, match=r"script\.parallel is False"):
        test.send(None)
