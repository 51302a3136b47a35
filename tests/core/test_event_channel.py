"""The buffer between a turn and its reader."""

import asyncio

import pytest

from chatrack.chat.turns.channel import EventChannel
from chatrack.errors import NotFound


async def test_what_is_ready_together_leaves_together():
    channel = EventChannel(100)
    channel.put(b"a")
    channel.put(b"b")
    await channel.wait_for_first()
    assert await channel.next() == b"ab"
    reading = asyncio.create_task(channel.next())
    await asyncio.sleep(0)
    channel.put(b"c")
    assert await reading == b"c"
    channel.put(b"d")
    channel.end()
    assert await channel.next() == b"d"
    assert await channel.next() is None


async def test_a_refusal_reaches_the_reader_before_any_event():
    channel = EventChannel(100)
    waiting = asyncio.create_task(channel.wait_for_first())
    await asyncio.sleep(0)
    channel.fail(NotFound("no"))
    with pytest.raises(NotFound):
        await waiting


async def test_a_reader_that_lags_too_far_behind_is_dropped_and_the_turn_is_not():
    dropped, left = [], []
    channel = EventChannel(10, on_close=lambda: left.append(1))
    channel.on_overflow = lambda: dropped.append(1)
    channel.put(b"x" * 50)
    assert await channel.next() == b"x" * 50  # and now the reader is busy sending
    for _ in range(3):
        assert not channel.overflowed
        channel.put(b"1234")
    assert channel.overflowed
    assert dropped == [1]
    assert await channel.next() is None
    channel.close()
    assert left == []


async def test_a_reader_that_keeps_up_gets_events_of_any_size():
    channel = EventChannel(10)
    channel.put(b"x" * 50)
    channel.put(b"y" * 50)
    await channel.wait_for_first()
    assert len(await channel.next()) == 100
    reading = asyncio.create_task(channel.next())
    await asyncio.sleep(0)
    channel.put(b"x" * 50)
    channel.put(b"y" * 50)
    assert len(await reading) == 100
    assert not channel.overflowed


async def test_leaving_is_noticed_once_and_only_before_the_end():
    left = []
    channel = EventChannel(10, on_close=lambda: left.append(1))
    channel.close()
    channel.close()
    channel.put(b"x")
    assert left == [1]
    ended = EventChannel(10, on_close=lambda: left.append(2))
    ended.end()
    ended.close()
    assert left == [1]


async def test_a_heartbeat_is_sent_only_into_silence():
    channel = EventChannel(100)
    channel.put(b"x")
    channel.put_if_idle(b":")
    assert await channel.next() == b"x"
    channel.put_if_idle(b":")
    assert await channel.next() == b":"
    channel.end()
    channel.put_if_idle(b":")
    assert await channel.next() is None
