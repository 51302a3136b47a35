"""The buffer between a turn and its reader."""

import asyncio

import pytest

from chatrack.chat.turns.channel import EventChannel
from chatrack.errors import NotFound


async def test_what_is_ready_together_leaves_together():
    subscriber = EventChannel(100)
    subscriber.put(b"a")
    subscriber.put(b"b")
    await subscriber.first()
    assert await subscriber.next() == b"ab"
    reading = asyncio.create_task(subscriber.next())
    await asyncio.sleep(0)
    subscriber.put(b"c")
    assert await reading == b"c"
    subscriber.put(b"d")
    subscriber.end()
    assert await subscriber.next() == b"d"
    assert await subscriber.next() is None


async def test_a_refusal_reaches_the_reader_before_any_event():
    subscriber = EventChannel(100)
    waiting = asyncio.create_task(subscriber.first())
    await asyncio.sleep(0)
    subscriber.refuse(NotFound("no"))
    with pytest.raises(NotFound):
        await waiting


async def test_a_reader_that_lags_too_far_behind_is_dropped_and_the_turn_is_not():
    dropped, left = [], []
    subscriber = EventChannel(10, on_leave=lambda: left.append(1))
    subscriber.on_overflow = lambda: dropped.append(1)
    subscriber.put(b"x" * 50)
    assert await subscriber.next() == b"x" * 50  # and now the reader is busy sending
    for _ in range(3):
        assert not subscriber.overflowed
        subscriber.put(b"1234")
    assert subscriber.overflowed
    assert dropped == [1]
    assert await subscriber.next() is None
    subscriber.leave()
    assert left == []


async def test_a_reader_that_keeps_up_gets_events_of_any_size():
    subscriber = EventChannel(10)
    subscriber.put(b"x" * 50)
    subscriber.put(b"y" * 50)
    await subscriber.first()
    assert len(await subscriber.next()) == 100
    reading = asyncio.create_task(subscriber.next())
    await asyncio.sleep(0)
    subscriber.put(b"x" * 50)
    subscriber.put(b"y" * 50)
    assert len(await reading) == 100
    assert not subscriber.overflowed


async def test_leaving_is_noticed_once_and_only_before_the_end():
    left = []
    subscriber = EventChannel(10, on_leave=lambda: left.append(1))
    subscriber.leave()
    subscriber.leave()
    subscriber.put(b"x")
    assert left == [1]
    ended = EventChannel(10, on_leave=lambda: left.append(2))
    ended.end()
    ended.leave()
    assert left == [1]


async def test_a_heartbeat_is_sent_only_into_silence():
    subscriber = EventChannel(100)
    subscriber.put(b"x")
    subscriber.nudge(b":")
    assert await subscriber.next() == b"x"
    subscriber.nudge(b":")
    assert await subscriber.next() == b":"
    subscriber.end()
    subscriber.nudge(b":")
    assert await subscriber.next() is None
