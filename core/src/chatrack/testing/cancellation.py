"""Contract tests of cancelled callers: a write is complete or has no effect, and the store keeps working."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from chatrack.errors import ChatrackError, NotFound
from chatrack.ids import new_id
from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.store import Store
from chatrack.testing.factories import TIMEOUT, Chat, file, text_of

Call = Callable[[], Awaitable[object]]

STEPS = (0, 2, 8, 24)
"""Steps of the event loop after which a call is cancelled."""

DELAYS = (0.002,)
"""Seconds after which a call is cancelled."""

POINTS = len(STEPS) + len(DELAYS)

LIFECYCLE = {"start", "stop", "health"}


async def cancel_during(call: Call, *, steps: int = 0, delay: float | None = None) -> bool:
    """Start a call and cancel it; return whether it had completed by then."""
    task = asyncio.ensure_future(call())
    if delay is not None:
        await asyncio.sleep(delay)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    finished, _ = await asyncio.wait([task], timeout=TIMEOUT)
    assert finished, "a cancelled call did not return"
    if task.cancelled():
        return False
    task.result()
    return True


async def cancel_at_every_point(calls: Sequence[Call]) -> list[bool]:
    """Cancel `POINTS` calls, each at another point; return which had completed by then."""
    early, late = calls[: len(STEPS)], calls[len(STEPS) :]
    done = [await cancel_during(call, steps=steps) for call, steps in zip(early, STEPS, strict=True)]
    return done + [await cancel_during(call, delay=delay) for call, delay in zip(late, DELAYS, strict=True)]


class Scene:
    """A thread with records of every kind, in the middle of a turn.

    Args:
        store: the store under test.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chat = Chat(store)
        self.new = Chat(store, self.chat.context)
        self.files = [file(attachment_id=new_id("attachment")) for _ in range(2)]
        self.one, self.two = self.chat.item("one"), self.chat.item("two")

    async def build(self) -> "Scene":
        """Store the thread."""
        chat, store = self.chat, self.store
        for attachment in self.files:
            await store.save_attachment(attachment, chat.context)
        self.lease = await chat.open(self.one, chat.hidden_item(), self.two)
        await store.write(
            self.lease, [chat.item("retried", self.lease)], pauses=[chat.pause(self.one)], uncommitted=True
        )
        return self

    def claimed(self, chat: Chat) -> list[object]:
        """Return the attachments, assigned to a thread."""
        return [attachment.model_copy(update={"thread_id": chat.id}) for attachment in self.files]

    async def state(self) -> dict[str, object]:
        """Return the state of the store, in terms that are equal for all scenes."""
        return {
            "thread": await self._thread(self.chat),
            "new thread": await self._thread(self.new),
            "files": [await self._file(attachment.id) for attachment in self.files],
            "held": bool(await self.store.renew([self.lease], seconds=60)),
        }

    async def _thread(self, chat: Chat) -> object:
        store = self.store
        try:
            # Each with a single read: a write that completes between two reads must not look like half of one.
            thread = await store.load_record(chat.id, chat.context)
            history = await store.load_history(chat.id, chat.context, first=0)
            pauses = await store.load_pauses(chat.id, chat.context)
        except NotFound:
            return None
        return (
            thread.title,
            thread.metadata,
            thread.history_from,
            [text_of(record) for record in history],
            [(pause.kind, pause.item_id == self.one.id) for pause in pauses],
        )

    async def _file(self, attachment_id: str) -> object:
        try:
            found = await self.store.load_attachment(attachment_id, self.chat.context)
        except NotFound:
            return None
        return (found.name, found.thread_id == self.chat.id, found.thread_id == self.new.id)

    async def begin_next_turns(self) -> dict[str, object]:
        """Begin another turn in both threads; return the outcomes."""
        result: dict[str, object] = {}
        for name, chat in (("thread", self.chat), ("new thread", self.new)):
            try:
                lease = await chat.begin(chat.item("next"))
                await self.store.end_turn(lease)
                result[name] = (await chat.texts())[-1]
            except ChatrackError as error:
                result[name] = type(error)
        return result


def write_calls(scene: Scene) -> dict[str, Call]:
    """Return a call of each method that writes, with as many parts as it accepts."""
    store, chat, new, lease = scene.store, scene.chat, scene.new, scene.lease
    me = chat.context
    items = [chat.item("a", lease), chat.hidden_item(lease), chat.item("b", lease)]
    usage = UsageRecord(turn_id=lease.turn_id, agent="a", model="m", thread_id=chat.id, created_at=0)
    changed = msgspec.structs.replace(chat.thread, title="changed", metadata='{"changed":1}')
    again = chat.item("changed", item_id=scene.one.id)
    return {
        "begin_turn": lambda: new.open(
            *(new.item(words) for words in "ab"), attachments=scene.claimed(new), after_interruption=[]
        ),
        "renew": lambda: store.renew([lease], seconds=60),
        "write": lambda: store.write(
            lease,
            [*items, again],
            remove=[scene.two.id],
            pauses=[chat.pause(items[0], kind="x")],
            resolve=[scene.one.id],
        ),
        "checkpoint": lambda: store.checkpoint([(lease, [*items, again], False)]),
        "end_turn": lambda: store.end_turn(lease, items, replace=[scene.one.id], usage=[usage]),
        "start_history_at": lambda: store.start_history_at(lease, 2),
        "set_title": lambda: store.set_title(chat.id, "changed", me),
        "replace_title": lambda: store.replace_title(chat.id, "T", "changed", me),
        "save_feedback": lambda: store.save_feedback(chat.id, [scene.one.id, scene.two.id], "positive", me),
        "put_item": lambda: store.put_item(again, me),
        "put_thread": lambda: store.put_thread(changed, me),
        "delete_thread": lambda: store.delete_thread(chat.id, me),
        "delete_thread_item": lambda: store.delete_thread_item(chat.id, scene.one.id, me),
        "save_attachment": lambda: store.save_attachment(
            scene.files[0].model_copy(update={"name": "b", "thread_id": chat.id}), me
        ),
        "delete_attachment": lambda: store.delete_attachment(scene.files[0].id, me),
        "delete_unused_attachments": lambda: store.delete_unused_attachments(before=2**62, limit=10**6),
        "forget_deleted_files": lambda: store.forget_deleted_files([scene.files[0].id]),
        "save_usage": lambda: store.save_usage([usage], me),
        "withdraw_turn": lambda: store.withdraw_turn(
            chat.id,
            me,
            turn_id=lease.turn_id,
            created=False,
            items=[scene.one.id, scene.two.id],
            attachments=scene.files,
        ),
    }


def read_calls(scene: Scene) -> dict[str, Call]:
    """Return a call of each method that reads."""
    store, thread, me = scene.store, scene.chat.id, scene.chat.context
    page: dict[str, Any] = {"after": None, "limit": 9, "order": "asc", "context": me}
    return {
        "load_record": lambda: store.load_record(thread, me),
        "page_items": lambda: store.page_items(thread, **page),
        "thread_with_items": lambda: store.thread_with_items(thread, limit=9, context=me),
        "page_threads": lambda: store.page_threads(**page),
        "load_item_record": lambda: store.load_item_record(thread, scene.one.id, me),
        "load_history": lambda: store.load_history(thread, me, budget=1_000_000),
        "load_pauses": lambda: store.load_pauses(thread, me),
        "load_attachment": lambda: store.load_attachment(scene.files[0].id, me),
        "tokens_used": lambda: store.tokens_used(me, since=0, whole_tenant=True),
        "deleted_files": lambda: store.deleted_files(limit=9),
        "installation_id": store.installation_id,
    }


READS = frozenset(
    {
        "deleted_files",
        "installation_id",
        "load_attachment",
        "load_history",
        "load_item_record",
        "load_pauses",
        "load_record",
        "page_items",
        "page_threads",
        "thread_with_items",
        "tokens_used",
    }
)


class CancellationContract:
    """Effects of cancelled callers."""

    settle_timeout = TIMEOUT
    """Seconds in which a write whose caller was cancelled must have ended; it may go on without its caller."""

    @pytest.mark.parametrize("method", sorted(Store.__abstractmethods__ - READS - LIFECYCLE))
    async def test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled(
        self, store: Store, method: str
    ) -> None:
        reference = await Scene(store).build()
        before = await reference.state()
        calls = write_calls(reference)
        assert method in calls, f"no test cancels Store.{method}"
        await calls[method]()
        after = await reference.state()
        next_after = await reference.begin_next_turns()
        next_before = await (await Scene(store).build()).begin_next_turns()

        scenes = await asyncio.gather(*(Scene(store).build() for _ in range(POINTS)))
        done = await cancel_at_every_point([write_calls(scene)[method] for scene in scenes])
        partial = await states_other_than(scenes, [before, after], self.settle_timeout)
        assert not partial, f"neither as before nor as after: {partial[0]}\nbefore: {before}\nafter: {after}"
        for scene, completed in zip(scenes, done, strict=True):
            seen = await scene.state(), await scene.begin_next_turns()
            if completed:
                assert seen == (after, next_after)
            else:
                assert seen in ((before, next_before), (after, next_after))

    @pytest.mark.parametrize("method", sorted(READS))
    async def test_readings_after_a_cancelled_one_are_right(self, store: Store, method: str) -> None:
        scene = await Scene(store).build()
        call = read_calls(scene)[method]
        expected = await call()

        for steps in STEPS:
            await cancel_during(call, steps=steps)
            assert await call() == expected
        await cancel_at_every_point([call] * POINTS)
        assert await asyncio.gather(*(call() for _ in range(10))) == [expected] * 10

    async def test_many_who_are_cancelled_at_once_keep_nobody_else_from_working(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        pairs = [[chat.item(f"{number} {part}") for part in "ab"] for number in range(30)]
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(store.write(lease, pair)) for pair in pairs]
        tasks += [asyncio.ensure_future(chat.visible_items()) for _ in range(30)]
        for number, task in enumerate(tasks):
            if number % 3:
                task.cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [result for result in results if isinstance(result, Exception)]
        await store.write(lease, [chat.item("last")])
        await store.end_turn(lease)
        words = await chat.texts()
        assert "last" in words
        for pair, result in zip(pairs, results, strict=False):
            kept = [text_of(record) in words for record in pair]
            assert kept[0] == kept[1]
            assert kept[0] or result is not None


async def states_other_than(
    scenes: list[Scene], states: list[dict[str, object]], timeout: float
) -> list[dict[str, object]]:
    """Wait until each scene is in one of some states; a write may continue after its caller was cancelled.

    Returns:
        The other states that are left after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        await asyncio.sleep(0.02)
        others = [state for scene in scenes if (state := await scene.state()) not in states]
        if not others or time.monotonic() > deadline:
            return others
