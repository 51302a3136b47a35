"""The provider contract through LiteLLM's proxy, as deployments with many providers use it."""

import pytest

from chatrack import Secret
from chatrack.builtin.compatible_provider import CompatibleEndpoint, CompatibleProviderPlugin
from chatrack.testing import RefusedModel
from tests.support.providers import FakeContract, provided


class ThroughLiteLLM(FakeContract):
    @pytest.fixture
    async def provider(self, litellm):
        endpoint = CompatibleEndpoint(base_url=litellm.url, api_key=Secret(litellm.key), api=self.api)
        async with provided(CompatibleProviderPlugin, "litellm", endpoints={"litellm": endpoint}) as provider:
            yield provider

    @pytest.fixture
    async def refused(self, provider, litellm):
        # Of a wrong key the proxy, without a database, says only that it has none.
        return RefusedModel(model=provider.get_model("fake-e401"), fault="authentication", secret=litellm.key)


class TestChatCompletionsThroughLiteLLM(ThroughLiteLLM):
    api = "chat_completions"


class TestResponsesThroughLiteLLM(ThroughLiteLLM):
    api = "responses"
