"""The demo model, as the Agents SDK calls it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import Handoff, ModelResponse, Tool, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import Response

from chatrack import Model
from chatrack.builtin.demo.parser import read_conversation
from chatrack.builtin.demo.policy import decide
from chatrack.builtin.demo.responses import build_response, stream_events
from chatrack.builtin.demo.tool_specs import tool_specs


class DemoModel(Model):
    """A model without a language model: no key, no network, and the same answer to the same conversation.

    Args:
        delay: seconds between two words of a streamed answer.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return the whole answer; arguments as in the Agents SDK."""
        response = _respond(*args, **kwargs)
        usage = Usage(requests=1, **dict(response.usage or ()))
        return ModelResponse(output=response.output, usage=usage, response_id=response.id)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Return the events of the answer, word by word; arguments as in the Agents SDK."""
        for event in stream_events(_respond(*args, **kwargs)):
            if event.type == "response.output_text.delta":
                await asyncio.sleep(self.delay)  # even for 0 seconds: other tasks get their turn
            yield event


def _respond(
    system_instructions: str | None,
    input: object,  # noqa: A002  (the SDK's name)
    model_settings: object,
    tools: Sequence[Tool],
    output_schema: object,
    handoffs: Sequence[Handoff[Any, Any]],
    *others: object,
    **options: object,
) -> Response:
    instructions = system_instructions or ""
    size = len(instructions) + len(str(input))
    try:
        decision = decide(read_conversation(input), instructions, tool_specs(tools, handoffs))
        return build_response(decision, input_size=size)
    except RecursionError:
        return build_response("I cannot read JSON that is nested so deeply.", input_size=size)
