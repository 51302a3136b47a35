"""The whole contract of a provider of models, as tests."""

import pytest

from chatrack.interfaces.models import Model, ModelProvider
from chatrack.testing.provider.conversations import ConversationsContract
from chatrack.testing.provider.endings import EndingsContract
from chatrack.testing.provider.script import ProviderScript, RefusedModel
from chatrack.testing.provider.streaming import StreamingContract
from chatrack.testing.provider.tools import ToolsContract


@pytest.mark.asyncio
class ProviderContract(StreamingContract, ToolsContract, ConversationsContract, EndingsContract):
    """What every provider's models do, through the Agents SDK.

    A class that inherits it has the fixture `provider`, and says in `script` how its models are made to do what the
    tests need. What else a test needs has a fixture here that may be overridden.
    """

    script = ProviderScript()

    @pytest.fixture
    def model_name(self) -> str | None:
        """The provider's name for the model; its default if None."""
        return None

    @pytest.fixture
    def model(self, provider: ModelProvider, model_name: str | None) -> Model:
        """The model."""
        return provider.get_model(model_name)

    @pytest.fixture
    def slow_model(self, model: Model) -> Model:
        """A model that takes its time, to be cancelled: one that pauses between words is best."""
        return model

    @pytest.fixture
    def refused(self) -> RefusedModel:
        """A model whose requests are refused, such as one with a wrong key."""
        pytest.skip("there is no fixture `refused`: the model refuses nothing")
