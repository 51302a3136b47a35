"""The agent's answer to a thread: what the model is shown, and what comes back."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from agents import RunConfig, Runner
from agents.run_error_handlers import RunErrorHandlerInput, RunErrorHandlerResult, RunErrorHandlers
from chatkit.types import ThreadStreamEvent

from chatrack.chat.agents.events import AgentStream
from chatrack.chat.agents.history import CHARACTERS, size_of, to_input, trim_history
from chatrack.chat.agents.input_filter import InputFilter
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.errors import ModelFailure
from chatrack.interfaces import ItemRecord, TurnContext
from chatrack.models.delta_fast_path import DELTA_FAST_PATH, DeltaFastPath
from chatrack.models.failures import failure_of

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer
    from chatrack.chat.turns.turn import Turn


async def answer(server: "ChatrackServer", turn: "Turn") -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
    """Let the entry agent answer.

    Args:
        server: the server.
        turn: the turn that asks.

    Raises:
        ModelFailure: a model did not answer as it should.
    """
    cast, transcript = turn.cast, turn.writing
    stream = AgentStream(turn.plan.thread_id, cast.default_agent, cast.bound, server.chat)
    transcript.provider_metadata = stream.provider_metadata
    history = _History(server, turn)
    items = await history.items()
    agent, turns = cast.default_agent.agent, cast.default_agent.spec.max_turns
    config = _config(turn.replay)
    shortcut = DeltaFastPath(lambda event: transcript.show(stream.piece(event)))
    DELTA_FAST_PATH.set(shortcut)
    while True:
        result = Runner.run_streamed(
            agent,
            items,
            context=turn.tool_context,
            max_turns=turns,
            run_config=config,
            hooks=turn.meter,
            error_handlers=_HANDLERS,
        )
        turn.running = result
        try:
            async with contextlib.aclosing(result.stream_events()) as events:  # type: ignore[type-var]  # a generator
                try:
                    async for event in events:
                        for converted in stream.convert(event):
                            yield converted
                        if event.type == "raw_response_event":
                            if event.data.type == "response.completed":
                                await transcript.flush()
                            shortcut.last_consumed = event.data
                except BaseException:
                    # Closed in the midst of it, the stream waits for the model and its tools to come to their end.
                    result.cancel()
                    raise
            break
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            failure.model = stream.model
            # The model's own limit is the operator's to set; that it is lower is found out here.
            if failure.fault != "context_length_exceeded" or not await history.shorten():
                raise failure from error
            turn.log.info("the history is too long for the model and was shortened", model=stream.model)
            items = [*await history.items(), *[item.to_input_item() for item in result.new_items]]
            agent, turns = result.current_agent, max(1, turns - result.current_turn + 1)
    for converted in stream.end():
        yield converted
    if stream.refused:
        failure = ModelFailure("refused")
        failure.model = stream.model
        raise failure


class _History:
    """The part of a thread that the model is shown; it can be shortened once.

    Args:
        server: the server.
        turn: the turn that asks.
    """

    def __init__(self, server: "ChatrackServer", turn: "Turn") -> None:
        self._server = server
        self._turn = turn
        self._records: Sequence[ItemRecord] | None = None
        self._shortened = False

    async def items(self) -> list[Any]:
        """Give it as input for the Agents SDK."""
        if self._records is None:
            self._records = await self._load()
        return list(await to_input(self._records))

    async def shorten(self) -> bool:
        """Drop the older half, for this turn and those to come; give False if there is nothing to drop."""
        records = self._records or []
        if self._shortened:
            return False
        self._shortened = True
        kept = trim_history(records, max(1, size_of(records) - 1), kept=0.5)
        if len(kept) == len(records):
            return False
        await self._server.store.start_history_at(self._turn.writing.lease, kept[0].seq)
        self._records = kept
        return True

    async def _load(self) -> Sequence[ItemRecord]:
        plan, context = self._turn.plan, self._turn.context
        tokens = self._server.chat.history_tokens
        budget = tokens * CHARACTERS
        load = self._server.store.load_history
        records = await load(plan.thread_id, context, before=plan.before, budget=budget)
        moved = not records
        if moved:  # the retry of a message from before the window
            records = await load(plan.thread_id, context, first=0, before=plan.before, budget=budget)
        shown = trim_history(records, tokens)
        if shown and (moved or shown[0].seq != records[0].seq):
            await self._server.store.start_history_at(self._turn.writing.lease, shown[0].seq)
        return shown


def _config(replay: InputFilter) -> RunConfig:
    return RunConfig(
        tracing_disabled=True,  # exported to OpenAI by default, also when another provider is in use
        call_model_input_filter=replay,
        tool_not_found_behavior="return_error_to_model",
    )


def _declined(given: RunErrorHandlerInput[TurnContext]) -> RunErrorHandlerResult:
    # The run ends as runs do, so that nothing that was said is lost; then the turn says what it means.
    return RunErrorHandlerResult(final_output="", include_in_history=False)


_HANDLERS: RunErrorHandlers[TurnContext] = {"model_refusal": _declined}
