"""The text of all running answers is saved together."""

import asyncio
import time

from tests.support.serving import is_delta, message, serving

STREAMS = 40
EVERY = 0.5


async def test_the_checkpoints_of_many_streams_cost_one_transaction_each_time(configure, monkeypatch):
    async with serving(configure(model="fake-n2000-d30", chat=f"checkpoint = {EVERY}")) as chat:
        database, store = chat.server.store.database, chat.server.store
        write, checkpoint = database.write, store.checkpoint
        transactions, saved, inside = [], [], []

        async def counted(work):
            if inside:
                transactions.append(time.monotonic())
            return await write(work)

        async def watched(writes):
            saved.append(len(writes))
            inside.append(True)
            try:
                await checkpoint(writes)
            finally:
                inside.clear()

        monkeypatch.setattr(store, "checkpoint", watched)
        under_way = asyncio.Event()

        async def one():
            async with chat.stream("threads.create", input=message("hello")) as stream:
                async for event in stream:
                    if is_delta(event):
                        under_way.set()

        streams = [asyncio.create_task(one()) for _ in range(STREAMS)]
        await under_way.wait()
        await asyncio.sleep(2 * EVERY)
        monkeypatch.setattr(database, "write", counted)
        began, seen = time.monotonic(), len(saved)
        await asyncio.sleep(3 * EVERY)
        monkeypatch.setattr(database, "write", write)
        rounds = (time.monotonic() - began) / EVERY
        for stream in streams:  # they would go on: a slow machine must not find them at their end
            stream.cancel()
        await asyncio.wait(streams)
        assert 1 <= len(transactions) <= rounds + 1
        assert max(saved[seen:]) == STREAMS
