"""The agents of one turn, with the user's choice of model and tool."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import agents
import msgspec
import structlog
from chatkit.types import InferenceOptions

from chatrack.assembly import BoundAgent
from chatrack.assembly.models import NamedModel
from chatrack.errors import BadRequest
from chatrack.interfaces import OutputGuardrail

_log = structlog.get_logger(source="chatrack.agents")


class AgentResolver:
    """Finds the `BoundAgent` that an agent of the Agents SDK was made of.

    Args:
        default_agent: the entry agent, as it is in this turn.
        others: all agents that can be reached.
    """

    def __init__(self, default_agent: BoundAgent, others: Iterable[BoundAgent]) -> None:
        self.default_agent = default_agent
        self._bound = {id(bound.agent): bound for bound in (*others, default_agent)}
        self.has_output_guardrails = any(
            isinstance(guardrail.guardrail, OutputGuardrail)
            for bound in self._bound.values()
            for guardrail in bound.guardrails
        )
        """Whether any of the agents has output guardrails."""

    def find(self, agent: agents.Agent[Any]) -> BoundAgent | None:
        """Return the bound agent, or None for an agent that is none of ours."""
        return self._bound.get(id(agent))


def apply_inference_options(
    agent: BoundAgent, options: InferenceOptions, *, selectable: Mapping[str, NamedModel], strict: bool
) -> BoundAgent:
    """Return the entry agent with the model and the tool that the user chose.

    Args:
        agent: the entry agent, with the tools that the user may use.
        options: what the user chose.
        selectable: the models that users may choose.
        strict: whether to refuse a choice that is not offered. If not, it is logged and ignored: a message that is
            in the thread already may have chosen what is no longer offered.

    Raises:
        BadRequest: the choice is not offered.
    """
    chosen = agent
    try:
        if options.model is not None:
            chosen = _with_model(selectable, chosen, options.model)
        if options.tool_choice is not None:
            chosen = _with_tool_choice(chosen, options.tool_choice.id)
    except BadRequest as error:
        if strict:
            raise
        _log.warning("inference options of an older message ignored", reason=error.detail, field=error.field)
        return agent
    return chosen


def _with_model(selectable: Mapping[str, NamedModel], agent: BoundAgent, name: str) -> BoundAgent:
    model = selectable.get(name)
    if model is None:
        raise BadRequest("This model cannot be chosen here.", field="params.input.inference_options.model")
    return msgspec.structs.replace(agent, model=model.name, agent=agent.agent.clone(model=model.model))


def _with_tool_choice(agent: BoundAgent, tool_id: str) -> BoundAgent:
    name = next((name for address, name in agent.tools.items() if tool_id in {address, name}), None)
    if name is None:
        raise BadRequest(
            "This tool cannot be chosen here.", field="params.input.inference_options.tool_choice"
        )
    settings = dataclasses.replace(agent.agent.model_settings, tool_choice=name)
    return msgspec.structs.replace(agent, agent=agent.agent.clone(model_settings=settings))
