"""The demo model: the Agents SDK's interface of a model over the rules."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import Handoff, ModelResponse, ModelSettings, ModelTracing, Tool, TResponseInputItem, Usage
from agents.agent_output import AgentOutputSchemaBase
from agents.items import TResponseStreamEvent
from openai.types.responses import Response
from openai.types.responses.response_prompt_param import ResponsePromptParam

from chatrack import Model
from chatrack.builtin.demo.conversation import read
from chatrack.builtin.demo.deciding import decide
from chatrack.builtin.demo.offers import offers
from chatrack.builtin.demo.responses import events, respond


class DemoModel(Model):
    """A model without a language model: no key, no network, and the same answer to the same conversation.

    It understands simple English orders, and uses the tools and handoffs it is offered by their names and
    schemas alone.

    Args:
        delay: seconds between two words of a streamed answer.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002  (the SDK's name)
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        """Answer in one piece; arguments as in the Agents SDK."""
        await asyncio.sleep(0)
        response = _respond(system_instructions, input, tools, handoffs)
        used = response.usage
        assert used is not None
        return ModelResponse(
            output=response.output,
            usage=Usage(
                requests=1,
                input_tokens=used.input_tokens,
                input_tokens_details=used.input_tokens_details,
                output_tokens=used.output_tokens,
                output_tokens_details=used.output_tokens_details,
                total_tokens=used.total_tokens,
            ),
            response_id=response.id,
        )

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002  (the SDK's name)
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Answer word by word; arguments as in the Agents SDK."""
        for event in events(_respond(system_instructions, input, tools, handoffs)):
            if event.type == "response.output_text.delta":
                await asyncio.sleep(self.delay)  # also with no delay: others must get their turn
            yield event


def _respond(
    instructions: str | None, given: object, tools: list[Tool], handoffs: list[Handoff[Any, Any]]
) -> Response:
    decision = decide(read(given), instructions, offers(tools, handoffs))
    size = len(instructions or "") + len(str(given))
    return respond(decision, read=size)
