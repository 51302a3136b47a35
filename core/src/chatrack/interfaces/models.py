"""Models, as the Agents SDK knows them; plugins take these names from `chatrack`."""

from abc import ABC, abstractmethod

from agents import Model, ModelProvider

__all__ = ["Model", "ModelProvider", "Transcriber"]


class Transcriber(ABC):
    """What a provider of models also is when it can turn speech into text."""

    @abstractmethod
    async def transcribe(self, audio: bytes, *, mime_type: str, model_name: str | None) -> str:
        """Turn speech into text.

        Args:
            audio: the recording; its size and type are bounded already.
            mime_type: its type without parameters, such as `audio/webm`.
            model_name: the provider's name for the model; its default if None.

        Raises:
            ModelFailure: the provider refused.
        """
