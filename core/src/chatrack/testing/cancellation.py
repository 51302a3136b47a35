"""A caller may be cancelled at any moment: a write is then whole or not at all, and the store goes on."""

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
from chatrack.testing.factories import PATIENCE, Chat, file, words_of

Call = Callable[[], Awaitable[object]]

STEPS = (0, 1, 2, 4, 8, 16, 32)
"""After how many steps of the event loop to cancel."""

DELAYS = (0.0005, 0.002, 0.005)
"""After how many seconds to cancel."""

MOMENTS = len(STEPS) + len(DELAYS)

LIFE = {"start", "stop", "health"}


async def interrupted(call: Call, *, steps: int = 0, delay: float | None = None) -> bool:
    """Begin something and cancel it; give whether it was done by then."""
    task = asyncio.ensure_future(call())
    if delay is not None:
        await asyncio.sleep(delay)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    finished, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert finished, "a cancelled call did not return"
    if task.cancelled():
        return False
    task.result()
    return True


async def at_every_moment(calls: Sequence[Call]) -> list[bool]:
    """Interrupt `MOMENTS` calls, each at another moment; give which were done."""
    early, late = calls[: len(STEPS)], calls[len(STEPS) :]
    done = [await interrupted(call, steps=steps) for call, steps in zip(early, STEPS, strict=True)]
    return done + [await interrupted(call, delay=delay) for call, delay in zip(late, DELAYS, strict=True)]


class Scene:
    """A thread with something of everything in it, in the middle of a turn or after it.

    Args:
        store: the store under test.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chat = Chat(store)
        self.new = Chat(store, self.chat.context)
        self.files = [file(attachment_id=new_id("attachment")) for _ in range(2)]
        self.one, self.two = self.chat.says("one"), self.chat.says("two")

    async def build(self) -> "Scene":
        """Store it."""
        chat, store = self.chat, self.store
        for attachment in self.files:
            await store.save_attachment(attachment, chat.context)
        self.lease = await chat.open(self.one, chat.hides(), self.two)
        await store.write(
            self.lease, [chat.says("retried", self.lease)], pauses=[chat.waits(self.one)], uncommitted=True
        )
        return self

    def claimed(self, chat: Chat) -> list[object]:
        """Give the files as those of a thread."""
        return [one.model_copy(update={"thread_id": chat.id}) for one in self.files]

    async def look(self) -> dict[str, object]:
        """Give what is to be seen, in words that are the same for every scene."""
        return {
            "thread": await self._thread(self.chat),
            "new thread": await self._thread(self.new),
            "files": [await self._file(one.id) for one in self.files],
            "held": bool(await self.store.renew([self.lease], seconds=60)),
        }

    async def _thread(self, chat: Chat) -> object:
        store = self.store
        try:
            # One method, one reading: what is written between two of them is nobody's fault.
            thread = await store.load_record(chat.id, chat.context)
            history = await store.load_history(chat.id, chat.context, first=0)
            pauses = await store.load_pauses(chat.id, chat.context)
        except NotFound:
            return None
        return (
            thread.title,
            thread.metadata,
            thread.history_from,
            [words_of(record) for record in history],
            [(pause.kind, pause.item_id == self.one.id) for pause in pauses],
        )

    async def _file(self, attachment_id: str) -> object:
        try:
            found = await self.store.load_attachment(attachment_id, self.chat.context)
        except NotFound:
            return None
        return (found.name, found.thread_id == self.chat.id, found.thread_id == self.new.id)

    async def busy(self) -> dict[str, object]:
        """Try to talk on in both threads; give what came of it."""
        result: dict[str, object] = {}
        for name, chat in (("thread", self.chat), ("new thread", self.new)):
            try:
                lease = await chat.begin(chat.says("next"))
                await self.store.end_turn(lease)
                result[name] = (await chat.words())[-1]
            except ChatrackError as error:
                result[name] = type(error)
        return result


def writing(scene: Scene) -> dict[str, Call]:
    """Make one write with each method that writes, in as many parts as it can have."""
    store, chat, new, lease = scene.store, scene.chat, scene.new, scene.lease
    me = chat.context
    items = [chat.says("a", lease), chat.hides(lease), chat.says("b", lease)]
    usage = UsageRecord(turn_id=lease.turn_id, agent="a", model="m", thread_id=chat.id, created_at=0)
    changed = msgspec.structs.replace(chat.thread, title="changed", metadata='{"changed":1}')
    again = chat.says("changed", item_id=scene.one.id)
    return {
        "begin_turn": lambda: new.open(
            *(new.says(words) for words in "ab"), attachments=scene.claimed(new), after_interruption=[]
        ),
        "renew": lambda: store.renew([lease], seconds=60),
        "write": lambda: store.write(
            lease,
            [*items, again],
            remove=[scene.two.id],
            pauses=[chat.waits(items[0], kind="x")],
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


def reading(scene: Scene) -> dict[str, Call]:
    """Make one reading with each method that reads."""
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
    }


READING = frozenset(
    {
        "load_attachment",
        "load_history",
        "load_item_record",
        "load_pauses",
        "load_record",
        "page_items",
        "page_threads",
        "thread_with_items",
    }
)


class CancellationContract:
    """What is left behind by callers who were cancelled."""

    @pytest.mark.parametrize("method", sorted(Store.__abstractmethods__ - READING - LIFE))
    async def test_a_write_is_whole_or_not_at_all_when_its_caller_is_cancelled(
        self, store: Store, method: str
    ) -> None:
        twin = await Scene(store).build()
        before = await twin.look()
        calls = writing(twin)
        assert method in calls, f"nobody has been cancelled in Store.{method}"
        await calls[method]()
        after = await twin.look()
        then = await twin.busy()
        untouched = await (await Scene(store).build()).busy()

        scenes = await asyncio.gather(*(Scene(store).build() for _ in range(MOMENTS)))
        done = await at_every_moment([writing(scene)[method] for scene in scenes])
        halves = await settled(scenes, [before, after])
        assert not halves, f"neither as before nor as after: {halves[0]}\nbefore: {before}\nafter: {after}"
        for scene, finished in zip(scenes, done, strict=True):
            seen = await scene.look(), await scene.busy()
            if finished:
                assert seen == (after, then)
            else:
                assert seen in ((before, untouched), (after, then))

    @pytest.mark.parametrize("method", sorted(READING))
    async def test_readings_after_a_cancelled_one_are_right(self, store: Store, method: str) -> None:
        scene = await Scene(store).build()
        call = reading(scene)[method]
        expected = await call()

        for steps in STEPS:
            await interrupted(call, steps=steps)
            assert await call() == expected
        await at_every_moment([call] * MOMENTS)
        assert await asyncio.gather(*(call() for _ in range(10))) == [expected] * 10

    async def test_many_who_are_cancelled_at_once_keep_nobody_else_from_working(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        pairs = [[chat.says(f"{number} {part}") for part in "ab"] for number in range(30)]
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(store.write(lease, pair)) for pair in pairs]
        tasks += [asyncio.ensure_future(chat.shown()) for _ in range(30)]
        for number, task in enumerate(tasks):
            if number % 3:
                task.cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [one for one in results if isinstance(one, Exception)]
        await store.write(lease, [chat.says("last")])
        await store.end_turn(lease)
        words = await chat.words()
        assert "last" in words
        for pair, result in zip(pairs, results, strict=False):
            kept = [words_of(record) in words for record in pair]
            assert kept[0] == kept[1]
            assert kept[0] or result is not None


async def settled(scenes: list[Scene], states: list[dict[str, object]]) -> list[dict[str, object]]:
    """Wait until each scene is in one of some states, since a write may go on without its caller.

    Returns:
        What those look like that have not come there in time.
    """
    deadline = time.monotonic() + 2
    while True:
        await asyncio.sleep(0.02)
        strange = [state for scene in scenes if (state := await scene.look()) not in states]
        if not strange or time.monotonic() > deadline:
            return strange
