"""The text of all running answers is saved together."""

import asyncio

from chatrack.errors import Unavailable
from tests.support.serving import is_delta, message, serving

STREAMS = 40
WORDS = 3


async def test_the_checkpoint_of_many_streams_is_one_transaction(configure, monkeypatch):
    patience = "idle_timeout = 600"
    async with serving(configure(model=f"fake-s{WORDS}", extra=patience, chat="checkpoint = 0.05")) as chat:
        database, store = chat.server.store.database, chat.server.store
        write, checkpoint = database.write, store.checkpoint
        all_shown, all_saved = asyncio.Event(), asyncio.Event()
        transactions = []

        async def counted(work):
            transactions.append(work)
            return await write(work)

        async def watched(writes):
            if not all_shown.is_set():
                await all_shown.wait()
                raise Unavailable("gone", retry_after=5)  # what there was to save is left for the next round
            assert len(writes) == STREAMS
            with monkeypatch.context() as patched:
                patched.setattr(database, "write", counted)
                await checkpoint(writes)
            all_saved.set()

        monkeypatch.setattr(store, "checkpoint", watched)
        threads = []

        async def read():
            async with chat.stream("threads.create", input=message("hello")) as stream:
                events = [await anext(stream)]
                while sum(map(is_delta, events)) < WORDS:
                    events.append(await anext(stream))
                threads.append(events[0]["thread"]["id"])
                if len(threads) == STREAMS:
                    all_shown.set()
                await all_saved.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(read())
        assert len(transactions) == 1
        for thread in threads:
            assert await chat.answers(thread) == ["w0 w1 w2 "]
