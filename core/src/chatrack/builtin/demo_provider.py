"""`demo_provider`: a model that needs no key, for trying Chatrack out."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

import chatrack
from chatrack import Model, ModelProvider, StartupError, hookimpl
from chatrack.builtin.demo.model import DemoModel
from chatrack.builtin.demo.responses import MODEL


class DemoProvider(ModelProvider):
    """Provides the demo model, which pauses for `delay` seconds between two words."""

    def __init__(self, delay: float) -> None:
        self._model = DemoModel(delay)

    def get_model(self, model_name: str | None) -> Model:
        """Return the model `demo`, also for None.

        Raises:
            StartupError: the name is another one.
        """
        if model_name not in {None, MODEL}:
            raise StartupError(f'the demo provider has no model "{model_name}"; its only model is "{MODEL}"')
        return self._model


class DemoProviderPlugin:
    """Provides `demo`: a program that behaves like a model, without a key and without a network."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.demo_provider]`."""

        delay: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.02
        """Seconds between two words of an answer."""

    def __init__(self, settings: Settings) -> None:
        self._provider = DemoProvider(settings.delay)

    @hookimpl
    def model_providers(self) -> Mapping[str, ModelProvider]:
        """Return the provider."""
        return {"demo": self._provider}
