"""The Agents SDK's interfaces of models, and an interface for speech-to-text."""

from abc import ABC, abstractmethod

from agents import Model, ModelProvider, ModelSettings

__all__ = ["Model", "ModelProvider", "ModelSettings", "Transcriber"]


class Transcriber(ABC):
    """Optional speech-to-text interface of a model provider."""

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
