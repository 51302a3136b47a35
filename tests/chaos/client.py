"""A client that sends messages, cancels and retries answers, renames threads, and switches servers when its own dies."""

import asyncio
import random
from collections.abc import Callable

import httpx

from tests.chaos.attempt import Attempt, echo, wish
from tests.chaos.journal import Journal, Thread, retrying, saying
from tests.chaos.rack import Instance, Rack
from tests.support.serving import events_of, text_of

_THREADS = 3
_AGAIN = 0.2
"""Seconds after which a client that was refused asks again."""


class Client:
    """A client with threads of its own, and one that it shares.

    Args:
        number: its number.
        seed: determines what it does, with its number.
        rack: the servers.
        journal: where it records what it received.
        shared: the thread that it shares, once it exists.
        longest: the tokens of its longest answers.
        patience: seconds after the last sign of another writer until a thread must accept it.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        rack: Rack,
        journal: Journal,
        shared: list[Thread],
        *,
        longest: int,
        patience: float,
    ) -> None:
        self.name = f"c{number:02}"
        self._rng = random.Random(f"{seed}/{number}")
        self._rack = rack
        self._journal = journal
        self._shared = shared
        self._longest = longest
        self._patience = patience
        self._mine: list[Thread] = []
        self._serial = 0

    async def live(self, seconds: float) -> None:
        """Act until the run has lasted a number of seconds."""
        thread: Thread | None = None
        while self._journal.now() < seconds:
            thread = await self._act(thread)
            await asyncio.sleep(self._rng.uniform(0, 0.5))

    async def say_last(self, thread: Thread) -> None:
        """Send a message to a thread that no other client uses any more."""
        await self._insist(lambda: saying(thread, echo(self._tag(), 2)))

    async def _act(self, last: Thread | None) -> Thread | None:
        """Do one thing, and return the thread to continue in, or None for any."""
        rng = self._rng
        roll, stops, renames = rng.random(), rng.random() < 0.15, rng.random() < 0.1
        if last is None and roll < 0.15:
            await self._clash()
            return None
        thread = last or self._some_thread()
        length = rng.randint(5, self._longest)
        limit = rng.randint(0, length) if stops else None
        renaming = asyncio.create_task(self._rename(thread)) if renames and thread is not None else None
        if thread is not None and thread.question is not None and roll < 0.35:
            attempt = await self._insist(lambda: retrying(thread, limit))
        elif roll > 0.85:
            attempt = await self._insist(lambda: saying(thread, wish(self._tag()), limit))
        else:
            attempt = await self._insist(lambda: saying(thread, echo(self._tag(), length), limit))
        if renaming is not None:
            await renaming
        if thread is None and attempt.thread is not None:
            self._mine.append(attempt.thread)
        return attempt.thread if attempt.outcome in {"killed", "unknown"} else None

    async def _clash(self) -> None:
        """Send two messages at once to the shared thread, through different servers."""
        if not self._shared:
            attempt = await self._insist(lambda: saying(None, echo(self._tag(), 5)), shared=True)
            if attempt.thread is not None:
                self._shared.append(attempt.thread)
            return
        thread = self._shared[0]
        asked = self._journal.now()
        both = [saying(thread, echo(self._tag(), self._rng.randint(5, self._longest))) for _ in range(2)]
        servers = await self._rack.sample(self._rng, 2)
        await asyncio.gather(*(self._try(*pair, asked) for pair in zip(servers, both, strict=True)))

    async def _insist(self, make: Callable[[], Attempt], *, shared: bool = False) -> Attempt:
        """Repeat an attempt until it is accepted, each time with another message."""
        asked = self._journal.now()
        while True:
            attempt = make()
            await self._try(await self._rack.pick(self._rng), attempt, asked, shared=shared)
            if attempt.outcome != "refused":
                return attempt
            await asyncio.sleep(_AGAIN)

    async def _try(self, server: Instance, attempt: Attempt, asked: float, *, shared: bool = False) -> None:
        """Make an attempt, record its outcome, and reload the thread if the server died."""
        journal = self._journal
        attempt.server = server
        journal.note(
            attempt.thread, f"{self.name} to {server.name}: {attempt.kind} {attempt.question[:30]!r}"
        )
        try:
            response = await server.open(attempt.kind, attempt.params)
            try:
                await self._follow(response, attempt, asked, shared=shared)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            if server.killed_at is None:
                journal.problem(attempt.thread, f"{server.name} lives and broke a connection: {error!r}")
        journal.end(attempt)
        if attempt.thread is not None and attempt.outcome in {"killed", "unknown"}:
            await self._reload(attempt.thread, attempt)

    async def _follow(
        self, response: httpx.Response, attempt: Attempt, asked: float, *, shared: bool
    ) -> None:
        """Read an answer to its end, or until it is time to hang up."""
        journal, thread = self._journal, attempt.thread
        waited = 0.0 if thread is None else thread.waited(asked, journal.now())
        if response.status_code != 200:
            body = (await response.aread()).decode()
            attempt.outcome = "refused" if response.status_code == 409 else "failed"
            if attempt.outcome == "failed":
                journal.problem(thread, f"{attempt.kind} was answered with {response.status_code}: {body}")
            elif waited > self._patience:
                attempt.outcome = "failed"
                journal.problem(thread, f"refused for {waited:.1f} s while nobody else wrote")
            return
        attempt.outcome = "killed"  # until its end is seen
        journal.stuck = max(journal.stuck, waited)
        if thread is not None:
            thread.enter()
        async for event in events_of(response):
            attempt.see(event)
            if attempt.created is not None and attempt.thread is None:
                journal.begin(attempt, shared=shared)
            if attempt.limit is not None and attempt.tokens >= attempt.limit:
                attempt.outcome = "stopped"
                return
        attempt.outcome = "completed"

    async def _reload(self, thread: Thread, attempt: Attempt) -> None:
        """Load a thread from another server, as a page does when its connection broke."""
        while True:
            server = await self._rack.pick(self._rng)
            try:
                items = await server.chat.items(thread.id)
                break
            except httpx.TransportError as error:
                if server.killed_at is None:
                    self._journal.problem(thread, f"{server.name} lives and broke a connection: {error!r}")
                    return
        stored = {item["id"]: item for item in items}
        for interruption in thread.interruptions:
            if interruption.attempt is attempt and interruption.item_id in stored:
                interruption.loaded = text_of(stored[interruption.item_id])
                thread.answers[interruption.item_id] = True
        self._journal.note(thread, f"{self.name} reloaded from {server.name}: {list(stored)}")

    async def _rename(self, thread: Thread) -> None:
        """Rename a thread, perhaps while it is being written into."""
        await asyncio.sleep(self._rng.uniform(0, 3))
        title = f"the thread of {self._tag()}"
        server = await self._rack.pick(self._rng)
        try:
            response = await server.chat.call("threads.update", thread_id=thread.id, title=title)
        except httpx.TransportError as error:
            thread.titles.append(title)  # or not
            if server.killed_at is None:
                self._journal.problem(thread, f"{server.name} lives and broke a connection: {error!r}")
            return
        self._journal.counts["renamed"] += 1
        thread.titles = [title]
        if response.status_code != 200:
            self._journal.problem(
                thread, f"renaming was answered with {response.status_code}: {response.text}"
            )

    def _some_thread(self) -> Thread | None:
        """Return one of its own threads, or None for a new one."""
        if not self._mine or (len(self._mine) < _THREADS and self._rng.random() < 0.12):
            return None
        return self._rng.choice(self._mine)

    def _tag(self) -> str:
        self._serial += 1
        return f"{self.name}-{self._serial:03}"
