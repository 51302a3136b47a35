"""The agents of one turn, and the user's say in which model answers."""

import dataclasses
from typing import Any

import agents
import msgspec
import structlog
from chatkit.types import InferenceOptions

from chatrack.assembly import Assembly, BoundAgent
from chatrack.errors import BadRequest

_log = structlog.get_logger(source="chatrack.cast")


class AgentResolver:
    """Who may take part in a turn.

    Args:
        assembly: whose agents.
        entry: the one that meets the user, as the user wants it.
    """

    def __init__(self, assembly: Assembly, entry: BoundAgent) -> None:
        self.default_agent = entry
        self._bound = {id(one.agent): one for one in (*assembly.agents.values(), entry)}

    def bound(self, agent: agents.Agent[Any]) -> BoundAgent | None:
        """Find what an agent of the Agents SDK was made of."""
        return self._bound.get(id(agent))


def chosen(assembly: Assembly, options: InferenceOptions) -> BoundAgent:
    """Give the entry agent, with the model and the tool that the user chose.

    Args:
        assembly: what there is.
        options: what the user chose.

    Raises:
        BadRequest: that is not offered.
    """
    entry = assembly.default_agent
    field = "params.input.inference_options"
    if options.model is not None:
        model = assembly.selectable.get(options.model)
        if model is None:
            raise BadRequest("This model cannot be chosen here.", field=f"{field}.model")
        entry = msgspec.structs.replace(entry, model=model.name, agent=entry.agent.clone(model=model.model))
    if options.tool_choice is not None:
        wanted = options.tool_choice.id
        tool = next((name for address, name in entry.tools.items() if wanted in {address, name}), None)
        if tool is None:
            raise BadRequest("This tool cannot be chosen here.", field=f"{field}.tool_choice")
        settings = dataclasses.replace(entry.agent.model_settings, tool_choice=tool)
        entry = msgspec.structs.replace(entry, agent=entry.agent.clone(model_settings=settings))
    return entry


def chosen_before(assembly: Assembly, options: InferenceOptions) -> BoundAgent:
    """Give the agent for a message that is in the thread already: what it chose may not be offered any more."""
    try:
        return chosen(assembly, options)
    except BadRequest as error:
        _log.warning("a choice of an older message is passed over", reason=error.detail, field=error.field)
        return assembly.default_agent
