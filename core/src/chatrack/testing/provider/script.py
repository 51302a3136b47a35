"""The messages that make a model do what a test needs."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from chatrack.errors import Fault
from chatrack.interfaces.models import Model


class ProviderScript(msgspec.Struct, frozen=True, kw_only=True):
    """The user's messages, and the capabilities of the model. The methods may be overridden.

    Args:
        instructions: the agents' instructions.
        parallel: whether the model can call several tools at once.
        handoffs: whether the model can hand off to another agent.
        large_payloads: whether the model accepts messages and makes tool calls of a hundred kilobytes.
        foreign_history: whether the model continues a conversation that another model has begun.
    """

    instructions: str = "You do exactly what the user tells you."
    parallel: bool = True
    handoffs: bool = True
    large_payloads: bool = True
    foreign_history: bool = True

    def say(self, text: str) -> str:
        """Return a message that the model answers with exactly a text."""
        return f"echo: {text}"

    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> str:
        """Return a message that makes the model call tools, all at once, and then repeat their results.

        Args:
            calls: the name and the arguments of each call.
        """
        return "\n".join(
            f"call {name} {json.dumps(arguments, ensure_ascii=False)}" for name, arguments in calls
        )

    def recall(self) -> str:
        """Return a message that makes the model repeat the results of all tools in the conversation."""
        return "history?"


class RefusedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose requests are refused.

    Args:
        model: the model, for example one with a wrong key.
        fault: the expected fault of the `ModelFailure`.
        secret: the key, which the failure must not show.
    """

    model: Model
    fault: Fault
    secret: str
