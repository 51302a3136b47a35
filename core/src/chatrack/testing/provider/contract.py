"""The complete contract of a model provider, as tests."""

import pytest

from chatrack.interfaces.models import Model, ModelProvider
from chatrack.testing.provider.conversations import ConversationsContract
from chatrack.testing.provider.endings import EndingsContract
from chatrack.testing.provider.script import ProviderScript, RefusedModel
from chatrack.testing.provider.streaming import StreamingContract
from chatrack.testing.provider.tools import ToolsContract


@pytest.mark.asyncio
class ProviderContract(StreamingContract, ToolsContract, ConversationsContract, EndingsContract):
    """Tests that the models of every provider have to pass, run through the Agents SDK.

    A subclass defines the fixture `provider`, and in `script` the messages that make its models do what the tests
    need. The other fixtures may be overridden.
    """

    script = ProviderScript()

    @pytest.fixture
    def model_name(self) -> str | None:
        """The provider's name for the model; None for its default model."""
        return None

    @pytest.fixture
    def model(self, provider: ModelProvider, model_name: str | None) -> Model:
        """The model under test."""
        return provider.get_model(model_name)

    @pytest.fixture
    def slow_model(self, model: Model) -> Model:
        """A slow model for the tests of cancellation, preferably one that pauses between words."""
        return model

    @pytest.fixture
    def refused(self) -> RefusedModel:
        """A model whose requests are refused, for example because of a wrong key."""
        pytest.skip("no fixture `refused`: no request to the model is refused")
