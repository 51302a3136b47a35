"""All turns of this process: starting them, keeping their leases and checkpoints, and ending them in time."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chatrack.chat.turns.turn import RETRY_INTERVAL, Turn
from chatrack.config import ChatTable
from chatrack.errors import ThreadBusy, Unavailable
from chatrack.interfaces import Store

POLL_INTERVAL = 0.2
"""Seconds between attempts to take a thread that another process holds."""

CANCEL_TIMEOUT = 5.0
"""Seconds that cancelled turns get to store what they have when the server stops."""

MAX_QUEUED = 4
"""Messages that may wait for the running turn of one thread; more are refused at once."""

RENEWALS = 4
"""How often a lease is renewed before it would expire."""

_log = structlog.get_logger(source="chatrack.turns")


class TurnManager:
    """The running turns of one server.

    Args:
        store: where their leases are.
        chat: the settings `[chat]`.
    """

    def __init__(self, store: Store, chat: ChatTable) -> None:
        self._store = store
        self._chat = chat
        self._running: dict[Turn, asyncio.Task[None]] = {}
        self._background_loops: list[asyncio.Task[None]] = []
        self._spawned: set[asyncio.Task[None]] = set()
        """Tasks that have outlived their turn."""
        self._unknown: list[tuple[float, Turn]] = []
        """Turns that the store may have begun although it reported a failure, and until when that matters."""
        self.draining = False
        """Whether new turns are refused."""
        self._drained = False

    def __len__(self) -> int:
        return len(self._running)

    def open(self) -> None:
        """Start renewing leases and storing checkpoints."""
        loops = {
            "checkpoints": (self._chat.checkpoint, self._save_checkpoints),
            "leases": (self._chat.lease / RENEWALS, self._renew_leases),
        }
        self._background_loops = [
            asyncio.create_task(self._every(seconds, work), name=name)
            for name, (seconds, work) in loops.items()
        ]

    async def close(self) -> None:
        """Cancel the turns that are still running, and all background tasks."""
        if not self._drained:
            await self.drain(0)
        tasks = [*self._background_loops, *self._spawned, *self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def start(self, turn: Turn) -> None:
        """Run a turn in a task of its own.

        Raises:
            Unavailable: the server is stopping.
        """
        self.check_open()
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._running[turn] = task
        task.add_done_callback(lambda _task: self._finish(turn))

    def check_open(self) -> None:
        """Refuse new turns while the server is stopping.

        Raises:
            Unavailable: the server is stopping.
        """
        if self.draining:
            raise Unavailable("The server is restarting.", retry_after=5)

    async def wait_for_thread(self, turn: Turn, seconds: float) -> None:
        """Wait for the thread of a turn to become free, or for a while if another process holds it.

        Args:
            turn: the turn that waits.
            seconds: how long at most.

        Raises:
            ThreadBusy: too many turns are waiting for the thread.
        """
        others = [other for other in self._of_thread(turn.thread_id) if other is not turn]
        if sum(other.session is None for other in others) >= MAX_QUEUED:
            raise ThreadBusy("This thread already has a turn running.", retry_after=1)
        holding = [self._running[other] for other in others if other.session is not None]
        if holding:
            await asyncio.wait(holding, timeout=seconds)
        else:
            await asyncio.sleep(min(seconds, POLL_INTERVAL))

    def revoke(self, thread_id: str) -> None:
        """Cancel the turns of a thread that was deleted; other processes notice when they renew the lease."""
        for turn in self._of_thread(thread_id):
            turn.cancel("lost")

    async def drain(self, grace: float) -> None:
        """Refuse new turns, wait for the running ones, and cancel those that do not end in time.

        What a cancelled turn has is stored, unless the database does not answer. Its stream ends with an error event.

        Args:
            grace: seconds that the turns get.
        """
        self.draining = True
        if self._running and grace > 0:
            await asyncio.wait(self._running.values(), timeout=grace)
        for turn in self._running:
            turn.cancel("shutdown")
        if self._running:
            await asyncio.wait(self._running.values(), timeout=CANCEL_TIMEOUT)
        for turn in self._running:
            turn.give_up()
        if self._running:
            _log.error("turn results not saved: the database does not answer", turns=len(self._running))
        self._drained = True

    def _of_thread(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running if turn.thread_id == thread_id]

    def _finish(self, turn: Turn) -> None:
        del self._running[turn]
        if turn.session is not None:
            for task in turn.session.spawned:
                if not task.done():
                    self._adopt(task)
        if turn.begin_unknown:
            if not self._unknown:
                self._adopt(asyncio.create_task(self._withdraw_unknown(), name="withdrawals"))
            self._unknown.append((asyncio.get_running_loop().time() + self._chat.lease, turn))

    def _adopt(self, task: asyncio.Task[None]) -> None:
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    # -- background loops ----------------------------------------------------------------------------------

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Unavailable:
                continue  # logged already; the next round may find the database again
            except Exception:  # noqa: BLE001  (the leases and checkpoints of all turns depend on this loop)
                _log.exception("keeping turns failed")

    async def _save_checkpoints(self) -> None:
        dirty = []
        for turn in list(self._running):
            try:
                if turn.session is not None and (records := turn.session.writer.take_dirty()):
                    dirty.append((turn.session.writer, records))
            except Exception:
                turn.log.exception("an unfinished item cannot be stored")
        if not dirty:
            return
        saved = asyncio.get_running_loop().create_future()
        try:
            for writer, _ in dirty:
                writer.checkpointing = saved
            await self._store.checkpoint(
                [(writer.lease, records, writer.uncommitted) for writer, records in dirty]
            )
        except BaseException:
            for writer, _ in dirty:
                writer.mark_dirty()
            raise
        finally:
            saved.set_result(None)

    async def _renew_leases(self) -> None:
        held = {turn: turn.session.writer.lease for turn in self._running if turn.session is not None}
        if not held:
            return
        alive = await self._store.renew(list(held.values()), seconds=self._chat.lease)
        for turn in held:
            if turn.id not in alive and turn in self._running and not turn.closing:
                turn.cancel("lost")

    async def _withdraw_unknown(self) -> None:
        """Undo the turns that may have begun without their client knowing, as soon as the database answers."""
        loop = asyncio.get_running_loop()
        while self._unknown:
            await asyncio.sleep(RETRY_INTERVAL)
            self._unknown = [(until, turn) for until, turn in self._unknown if loop.time() < until]
            try:
                while self._unknown:
                    await self._unknown[0][1].withdraw()
                    del self._unknown[0]
            except Unavailable:
                continue  # it would be for the others too
            except Exception:  # noqa: BLE001  (one that cannot be withdrawn must not keep the others waiting)
                _log.exception("a turn was not withdrawn")
                del self._unknown[0]
