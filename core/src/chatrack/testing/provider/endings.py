"""Answers that end before their time: refused, or cancelled."""

import asyncio
import contextlib
import time
import traceback
from collections.abc import Iterator

import pytest
from agents import Runner

from chatrack.errors import ModelFailure
from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import CONFIG, WORDS, Asking, user
from chatrack.testing.provider.script import ProviderScript, RefusedModel

LONG = " ".join([WORDS] * 200)

SOON = 1.0
"""Seconds in which an answer that was cancelled is over."""


class EndingsContract:
    """Failures and cancellation."""

    script: ProviderScript

    async def test_a_refused_request_is_a_model_failure_that_shows_no_key(
        self, refused: RefusedModel
    ) -> None:
        asking = Asking(refused.model, self.script)
        for ask in (asking.ask, asking.whole):
            with pytest.raises(ModelFailure) as caught:
                await ask(self.script.say(WORDS))
            assert caught.value.fault == refused.fault
            for error in chain(caught.value):
                shown = f"{error!s} {error!r} {error.args!r} {vars(error)!r}"
                assert refused.secret not in shown, f"{type(error).__name__} shows the key"
            assert refused.secret not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("words", [0, 3], ids=["before the first word", "between two words"])
    async def test_an_answer_that_is_cancelled_is_over_soon_and_leaves_no_task(
        self, slow_model: Model, words: int
    ) -> None:
        before = asyncio.all_tasks()
        agent = Asking(slow_model, self.script).agent
        result = Runner.run_streamed(agent, [user(self.script.say(LONG))], run_config=CONFIG)
        begun = asyncio.Event()

        async def listen() -> None:
            heard = 0
            async with contextlib.aclosing(result.stream_events()) as stream:  # type: ignore[type-var]  # a generator
                async for event in stream:
                    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                        heard += 1
                        if heard >= words:
                            begun.set()

        listener = asyncio.create_task(listen())
        if words:
            waiting = asyncio.create_task(begun.wait())
            await asyncio.wait([listener, waiting], timeout=30, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if listener.done():
                await listener
            assert begun.is_set(), "there was no answer to cancel"
        else:
            await asyncio.sleep(0.05)
        started = time.monotonic()
        listener.cancel()
        left = await ended(before, started + SOON)
        for task in left:  # so that this test is the only one that they fail
            task.cancel()
        assert not left, f"{SOON:.0f} s after the answer was cancelled there still is {left}"
        with contextlib.suppress(asyncio.CancelledError):
            await listener

    async def test_an_answer_that_has_come_to_its_end_leaves_no_task(self, model: Model) -> None:
        before = asyncio.all_tasks()
        asking = Asking(model, self.script)
        await asking.ask(self.script.call(("note", {"text": "milk"})))
        left = await ended(before, time.monotonic() + SOON)
        assert not left, f"after the answer there still is {left}"

    async def test_after_one_that_was_cancelled_the_next_answer_is_right(
        self, slow_model: Model, model: Model
    ) -> None:
        for _ in range(3):
            task = asyncio.create_task(Asking(slow_model, self.script).ask(self.script.say(LONG)))
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task], timeout=SOON)
        heard = await Asking(model, self.script).ask(self.script.say(WORDS))
        assert heard.text == WORDS


async def ended(before: "set[asyncio.Task[object]]", deadline: float) -> "set[asyncio.Task[object]]":
    """Wait until there are no more tasks than before, and give those that are left in the end."""
    while (left := asyncio.all_tasks() - before) and (rest := deadline - time.monotonic()) > 0:
        await asyncio.wait(left, timeout=rest)
    return left


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and all that it was made of."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one
