"""The agents that a user may talk to, each with the tools that this user may use."""

import dataclasses
import functools
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from chatrack.assembly.binding import BoundAgent

_CACHE_SIZE = 256
"""How many combinations of roles have their agents kept."""


class AgentsByRole:
    """Leaves out what a user's roles do not admit, so that no model is ever shown it.

    Args:
        agents: all agents, by address.
        tool_roles: the roles of which a user needs one, by the address of the tool.
    """

    def __init__(self, agents: Mapping[str, BoundAgent], tool_roles: Mapping[str, frozenset[str]]) -> None:
        self._agents = agents
        self._tool_roles = tool_roles
        self._agent_roles = {
            address: frozenset(bound.spec.roles)
            for address, bound in agents.items()
            if bound.spec.roles is not None
        }
        self._known_roles = frozenset[str]().union(*tool_roles.values(), *self._agent_roles.values())
        self._filtered = functools.lru_cache(_CACHE_SIZE)(self._filter)

    def agents_for(self, roles: AbstractSet[str]) -> Mapping[str, BoundAgent]:
        """Return the agents for a user with these roles, by address."""
        if not self._known_roles:
            return self._agents
        return self._filtered(self._known_roles & roles)

    def _filter(self, roles: frozenset[str]) -> Mapping[str, BoundAgent]:
        admitted = {
            address: self._with_admitted_tools(bound, roles)
            for address, bound in self._agents.items()
            if self._is_admitted(address, roles)
        }
        for bound in admitted.values():
            bound.agent.handoffs = [admitted[target].agent for target in bound.handoffs if target in admitted]
        return admitted

    def _is_admitted(self, agent: str, roles: frozenset[str]) -> bool:
        return agent not in self._agent_roles or bool(self._agent_roles[agent] & roles)

    def _with_admitted_tools(self, bound: BoundAgent, roles: frozenset[str]) -> BoundAgent:
        kept = {
            address: tool
            for address, tool in zip(bound.tools, bound.agent.tools, strict=True)
            if address not in self._tool_roles or self._tool_roles[address] & roles
        }
        handoffs = [target for target in bound.handoffs if self._is_admitted(target, roles)]
        # Providers refuse a request whose model must call a tool that is left out.
        settings = bound.agent.model_settings
        choice = settings.tool_choice
        left_out = {name for address, name in bound.tools.items() if address not in kept}
        if choice in left_out or (choice == "required" and not kept and not handoffs):
            settings = dataclasses.replace(settings, tool_choice=None)
        return msgspec.structs.replace(
            bound,
            tools={address: bound.tools[address] for address in kept},
            agent=bound.agent.clone(tools=list(kept.values()), model_settings=settings),
        )
