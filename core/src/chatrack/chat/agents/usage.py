"""Token usage per agent and model."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from agents import Agent, ModelResponse, RunContextWrapper, RunHooks

from chatrack.chat.agents.history import CHARACTERS_PER_TOKEN
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.clock import now, to_micros
from chatrack.errors import TooManyRequests
from chatrack.interfaces import TurnContext, UsageRecord
from chatrack.limits import TokenBudget
from chatrack.models.queued_events import deliver_queued_first


class _Count(msgspec.Struct):
    requests: int = 0
    tokens: dict[str, int] | None = None


class _Call(msgspec.Struct):
    """A call of a model whose usage the provider has not reported yet."""

    agent: Agent[Any]
    input: tuple[Any, ...]
    written: int = 0
    """The characters of complete messages, reasoning and arguments."""
    queued: int = 0
    """The characters of the message that is being written, as far as they came by the Agents SDK's queue."""


class UsageTracker(RunHooks[TurnContext]):
    """Counts the tokens of a run while it runs. Those of a call that was cut off are estimated.

    Args:
        resolver: finds the address and the model of an agent.
        on_response: called with every response of a model.
        before_call: awaited before every call of a model; what it raises ends the run.
        after_call: awaited after every call of a model, before the tools that it calls.
    """

    def __init__(
        self,
        resolver: AgentResolver,
        on_response: Callable[[Agent[Any], ModelResponse], None] | None = None,
        *,
        before_call: Callable[[Agent[Any]], Awaitable[None]] | None = None,
        after_call: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._resolver = resolver
        self._on_response = on_response
        self._before_call = before_call
        self._after_call = after_call
        self._counts: dict[tuple[str, str], _Count] = {}
        self._tokens = 0
        self._call: _Call | None = None
        self.budget: TokenBudget | None = None
        """What the run may use; it is checked before each call of a model, so that an answer is never cut off at its end."""

    async def on_llm_start(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], system_prompt: Any, input_items: Any
    ) -> None:
        if self.budget is not None:
            try:
                self.budget.check(self._tokens)
            except TooManyRequests as refusal:
                raise deliver_queued_first(refusal) from None
        if self._before_call is not None:
            await self._before_call(agent)
        self._count(agent).requests += 1
        self._call = _Call(agent, (system_prompt, input_items))

    async def on_llm_end(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], response: ModelResponse
    ) -> None:
        if self._on_response is not None:
            self._on_response(agent, response)
        self._call = None
        self._add_tokens(agent, response)
        if self._after_call is not None:
            await self._after_call()

    def _add_tokens(self, agent: Agent[Any], response: ModelResponse) -> None:
        usage = response.usage
        if not usage.total_tokens:
            return  # the provider reported none
        self._add(
            agent,
            input_tokens=usage.input_tokens,
            cached_tokens=usage.input_tokens_details.cached_tokens or 0,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.output_tokens_details.reasoning_tokens or 0,
        )

    def _add(self, agent: Agent[Any], *, input_tokens: int, output_tokens: int, **others: int) -> None:
        self._tokens += input_tokens + output_tokens
        tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens, **others}
        count = self._count(agent)
        before = count.tokens or {}
        count.tokens = {**before, **{name: before.get(name, 0) + number for name, number in tokens.items()}}

    def count_event(self, event: Any) -> None:
        """Count what an event of a model adds to the answer. Text that has bypassed the queue need not be counted.

        Args:
            event: the event.
        """
        call = self._call
        if call is None:
            return
        if event.type == "response.created":  # what was counted belongs to the call before
            call.written = call.queued = 0
        elif event.type in {"response.output_text.delta", "response.refusal.delta"}:
            call.queued += len(event.delta)
        elif event.type == "response.output_item.done" and event.item.type == "message":
            for part in event.item.content:
                call.written += len(part.refusal if part.type == "refusal" else part.text)
            call.queued = 0
        elif isinstance(delta := getattr(event, "delta", None), str):
            call.written += len(delta)

    def end_call(self, drafted: int, *, failed: bool = False) -> None:
        """Estimate the tokens of a call that has ended without the provider's report, if there is one.

        Args:
            drafted: the characters of the message that was being written, as far as they were shown.
            failed: whether the model failed. If it has written nothing, the call then costs nothing.
        """
        call, self._call = self._call, None
        if call is None:
            return
        written = call.written + max(call.queued, drafted)
        if written or not failed:
            self._add(
                call.agent,
                input_tokens=math.ceil(_count_characters(call.input) / CHARACTERS_PER_TOKEN),
                output_tokens=math.ceil(written / CHARACTERS_PER_TOKEN),
            )

    def records(self, *, thread_id: str, turn_id: str) -> list[UsageRecord]:
        """Return the usage so far; token counts are None where the provider reported none and none were estimated.

        Args:
            thread_id: the thread.
            turn_id: the turn.
        """
        moment = to_micros(now())
        return [
            UsageRecord(
                turn_id=turn_id,
                thread_id=thread_id,
                agent=agent,
                model=model,
                requests=count.requests,
                created_at=moment,
                **(count.tokens or {}),
            )
            for (agent, model), count in self._counts.items()
        ]

    def log_fields(self) -> dict[str, Any]:
        """Return what to log: the tokens of all models together, and those of each agent and model."""
        known = [(key, count.tokens) for key, count in self._counts.items() if count.tokens is not None]
        names = ("input_tokens", "output_tokens")
        if not known:
            return {}
        return {
            **{name: sum(tokens[name] for _, tokens in known) for name in names},
            "usage": [
                {"agent": agent, "model": model, **{name: tokens[name] for name in names}}
                for (agent, model), tokens in known
            ],
        }

    def _count(self, agent: Agent[Any]) -> _Count:
        bound = self._resolver.find(agent)
        key = (agent.name, "") if bound is None else (bound.address, bound.model)
        return self._counts.setdefault(key, _Count())


def _count_characters(value: Any) -> int:
    """Return the length of all texts in JSON, without files: their size says little about their tokens."""
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if isinstance(value, dict):
        return sum(map(_count_characters, value.values()))
    return sum(map(_count_characters, value)) if isinstance(value, list | tuple) else 0
