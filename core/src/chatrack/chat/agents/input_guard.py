"""Has what a user sent checked by the guardrails of every agent that is to read it."""

from typing import Any, TypeVar

import agents
from chatkit.types import ThreadItem

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.guardrail_calls import FAILED, GuardrailCalls, input_guardrails
from chatrack.chat.agents.input_texts import joined_text, texts_of, with_texts
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.errors import Withheld
from chatrack.models.queued_events import deliver_queued_first

Item = TypeVar("Item", bound=ThreadItem)


class InputReplaced(Exception):
    """A guardrail of an agent that was about to read the input has replaced some of it.

    Args:
        item: what the user sent, with the new text.
    """

    def __init__(self, item: ThreadItem) -> None:
        super().__init__("input replaced")
        self.item = item


class InputGuard:
    """Checks the input of one turn, once for each agent.

    Args:
        resolver: the agents.
        calls: calls their guardrails.
    """

    def __init__(self, resolver: AgentResolver, calls: GuardrailCalls) -> None:
        self.item: ThreadItem | None = None
        """What the user sent, as far as it has been checked."""
        self._resolver = resolver
        self._calls = calls
        self._checked: set[str] = set()

    async def admit(self, item: Item, agent: BoundAgent) -> Item:
        """Return what an agent may read of an item that the user sent.

        Raises:
            Withheld: a guardrail tripped or failed.
        """
        self._checked.add(agent.address)
        self.item = item
        if not input_guardrails(agent):
            return item
        joined = joined_text(item)
        checked, replacing = await self._calls.check_input(joined, agent)
        if checked == joined:
            return item
        texts = texts_of(item)
        replaced = (
            {joined: checked}
            if texts == [joined]
            else await self._calls.replace_texts(texts, agent, replacing)
        )
        admitted = with_texts(item, replaced)
        joined = joined_text(admitted)
        if joined != checked and (await self._calls.check_input(joined, agent))[0] != joined:
            raise Withheld(FAILED)  # what was found spans several texts
        self.item = admitted
        return admitted  # type: ignore[return-value]  # of the same type

    async def before_model_call(self, agent: agents.Agent[Any]) -> None:
        """Check the input for an agent that has not read it yet, such as one that was handed over to.

        Raises:
            InputReplaced: a guardrail replaced some of it.
            Withheld: a guardrail tripped or failed.
        """
        bound = self._resolver.find(agent)
        if bound is None or bound.address in self._checked or self.item is None:
            return
        before = self.item
        try:
            after = await self.admit(before, bound)
        except Withheld as withheld:
            withheld.sent = before
            raise deliver_queued_first(withheld) from None
        if after is not before:
            raise deliver_queued_first(InputReplaced(after))
