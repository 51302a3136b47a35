"""Contract tests of answers that are refused or cancelled."""

import asyncio
import contextlib
import time
import traceback
from collections.abc import Iterator

import pytest
from agents import Runner

from chatrack.errors import ModelFailure
from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import CONFIG, TIMEOUT, WORDS, Conversation, user
from chatrack.testing.provider.script import ProviderScript, RefusedModel

LONG = " ".join([WORDS] * 200)


class EndingsContract:
    """Refusals and cancellation."""

    script: ProviderScript

    cancel_timeout = TIMEOUT
    """Seconds after which an answer has to be over that was cancelled."""

    async def test_a_refused_request_is_a_model_failure_that_shows_no_key(
        self, refused: RefusedModel
    ) -> None:
        conversation = Conversation(refused.model, self.script)
        for ask in (conversation.ask, conversation.ask_unstreamed):
            with pytest.raises(ModelFailure) as caught:
                await ask(self.script.say(WORDS))
            assert caught.value.fault == refused.fault
            for error in error_chain(caught.value):
                shown = f"{error!s} {error!r} {error.args!r} {vars(error)!r}"
                assert refused.secret not in shown, f"{type(error).__name__} shows the key"
            assert refused.secret not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("words", [0, 3], ids=["before the first word", "between two words"])
    async def test_an_answer_that_is_cancelled_is_over_soon_and_leaves_no_task(
        self, slow_model: Model, words: int
    ) -> None:
        before = asyncio.all_tasks()
        agent = Conversation(slow_model, self.script).agent
        result = Runner.run_streamed(agent, [user(self.script.say(LONG))], run_config=CONFIG)
        begun = asyncio.Event()

        async def listen() -> None:
            deltas = 0
            async with contextlib.aclosing(result.stream_events()) as stream:  # type: ignore[type-var]  # a generator
                async for event in stream:
                    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                        deltas += 1
                        if deltas >= words:
                            begun.set()

        listener = asyncio.create_task(listen())
        if words:
            waiting = asyncio.create_task(begun.wait())
            await asyncio.wait([listener, waiting], timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if listener.done():
                await listener
            assert begun.is_set(), "the answer ended before it could be cancelled"
        else:
            await asyncio.sleep(0.05)
        started = time.monotonic()
        listener.cancel()
        left = await remaining_tasks(before, started + self.cancel_timeout)
        for task in left:  # so that they do not fail other tests
            task.cancel()
        assert not left, (
            f"{self.cancel_timeout:g} s after the answer was cancelled, these tasks are left: {left}"
        )
        with contextlib.suppress(asyncio.CancelledError):
            await listener

    async def test_an_answer_that_has_come_to_its_end_leaves_no_task(self, model: Model) -> None:
        before = asyncio.all_tasks()
        conversation = Conversation(model, self.script)
        await conversation.ask(self.script.call(("note", {"text": "milk"})))
        left = await remaining_tasks(before, time.monotonic() + self.cancel_timeout)
        assert not left, f"after the answer, these tasks are left: {left}"

    async def test_after_one_that_was_cancelled_the_next_answer_is_right(
        self, slow_model: Model, model: Model
    ) -> None:
        for _ in range(3):
            task = asyncio.create_task(Conversation(slow_model, self.script).ask(self.script.say(LONG)))
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task], timeout=self.cancel_timeout)
        answer = await Conversation(model, self.script).ask(self.script.say(WORDS))
        assert answer.text == WORDS


async def remaining_tasks(
    before: "set[asyncio.Task[object]]", deadline: float
) -> "set[asyncio.Task[object]]":
    """Wait until there are no new tasks, and return those that are left at the deadline."""
    while (left := asyncio.all_tasks() - before) and (rest := deadline - time.monotonic()) > 0:
        await asyncio.wait(left, timeout=rest)
    return left


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its causes and its contexts."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            pending += [current.__cause__, current.__context__]
            yield current
