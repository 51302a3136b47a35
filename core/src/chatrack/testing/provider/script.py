"""How a model is made to do what a test needs: what the user says to it."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from chatrack.errors import Fault
from chatrack.interfaces.models import Model


class ProviderScript(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says, and what the model cannot do. Methods are there to be overridden.

    Args:
        instructions: those of the agents.
        parallel: whether the model can call several tools at once.
        handoffs: whether the model can hand over to another agent.
        huge: whether the model takes, and gives to a tool, a hundred kilobytes.
        elsewhere: whether the model takes a conversation that another model has begun.
    """

    instructions: str = "You do exactly what the user tells you."
    parallel: bool = True
    handoffs: bool = True
    huge: bool = True
    elsewhere: bool = True

    def say(self, text: str) -> str:
        """Give a message to which the model answers with a text, and with nothing else."""
        return f"echo: {text}"

    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> str:
        """Give a message to which the model calls tools, all at once, and then repeats what they gave.

        Args:
            calls: the name and the arguments of each call.
        """
        return "\n".join(
            f"call {name} {json.dumps(arguments, ensure_ascii=False)}" for name, arguments in calls
        )

    def recall(self) -> str:
        """Give a message to which the model repeats what all tools in the conversation gave."""
        return "history?"


class RefusedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose requests are refused.

    Args:
        model: the model, such as one with a wrong key.
        fault: what its `ModelFailure` has to say.
        secret: what must not be shown by it: the key.
    """

    model: Model
    fault: Fault
    secret: str
