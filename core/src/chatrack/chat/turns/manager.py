"""All turns of this process: starting them, keeping their leases and checkpoints, and ending them in time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from chatrack.chat.errors import RESTARTING
from chatrack.chat.turns.turn import DRAIN_TIMEOUT, RETRY_INTERVAL, Turn
from chatrack.config import ChatTable
from chatrack.errors import ThreadBusy, Unavailable
from chatrack.interfaces import Store

POLL_INTERVAL = 0.2
"""Seconds between attempts to take a thread that another process holds."""

CANCEL_TIMEOUT = DRAIN_TIMEOUT + 5.0
"""Seconds that cancelled turns get, when the server stops, to end their work and to store what they have."""

MAX_UNCONFIRMED = 1000
"""Turns of unknown outcome that are remembered while the database is unavailable."""

MAX_QUEUED = 4
"""Messages that may wait in this process for the running turn of one thread; more are refused at once."""

RENEWALS_PER_LEASE = 4
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
        self._background_tasks: set[asyncio.Task[None]] = set()
        """Tasks that have outlived their turn, and the one that withdraws turns."""
        self._unconfirmed: deque[Turn] = deque(maxlen=MAX_UNCONFIRMED)
        """Turns that the store may have begun although it reported a failure."""
        self.draining = False
        """Whether new turns are refused."""
        self._drained = False

    def __len__(self) -> int:
        return len(self._running)

    def open(self) -> None:
        """Start renewing leases and storing checkpoints."""
        loops = {
            "checkpoints": (self._chat.checkpoint, self._save_checkpoints),
            "leases": (self._chat.lease / RENEWALS_PER_LEASE, self._renew_leases),
        }
        self._background_loops = [
            asyncio.create_task(self._every(seconds, work), name=name)
            for name, (seconds, work) in loops.items()
        ]

    async def close(self) -> None:
        """Cancel the turns that are still running, and all background tasks."""
        if not self._drained:
            await self.drain(0)
        # Again and again: turns that end leave tasks behind.
        while tasks := self._unfinished_tasks():
            for task in tasks:
                task.cancel()
            _, stuck = await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)
            if stuck:
                _log.error("tasks do not end", tasks=[task.get_name() for task in stuck])
                return

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
            raise Unavailable(RESTARTING, retry_after=5)

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
            raise ThreadBusy("Too many messages are already waiting in this conversation.", retry_after=1)
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
        if self._drained:
            return  # a second signal has cut the first one's grace short
        self._drained = True
        for turn in self._running:
            turn.give_up()
        if self._running:
            _log.error("turn results not saved: turns did not end in time", turns=len(self._running))

    def _of_thread(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running if turn.thread_id == thread_id]

    def _finish(self, turn: Turn) -> None:
        del self._running[turn]
        if turn.session is not None:
            for task in turn.session.spawned:
                if not task.done():
                    self._adopt(task)
        if turn.begin_unconfirmed and not self._drained:
            if not self._unconfirmed:
                self._adopt(asyncio.create_task(self._withdraw_unconfirmed(), name="withdrawals"))
            self._unconfirmed.append(turn)

    def _unfinished_tasks(self) -> list[asyncio.Task[None]]:
        sessions = [turn.session for turn in self._running if turn.session is not None]
        spawned = [task for session in sessions for task in session.spawned]
        tasks = [*self._background_loops, *self._background_tasks, *self._running.values(), *spawned]
        return [task for task in tasks if not task.done()]

    def _adopt(self, task: asyncio.Task[None]) -> None:
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    # -- background loops ----------------------------------------------------------------------------------

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Unavailable:
                continue  # logged already; the next round may find the database again
            except Exception:  # noqa: BLE001  (the leases and checkpoints of all turns depend on this loop)
                _log.exception("background loop failed")

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
        finished = asyncio.get_running_loop().create_future()
        try:
            for writer, _ in dirty:
                writer.checkpointing = finished
            await self._store.checkpoint(
                [(writer.lease, records, writer.uncommitted) for writer, records in dirty]
            )
        except BaseException:
            for writer, _ in dirty:
                writer.mark_dirty()
            raise
        finally:
            finished.set_result(None)

    async def _renew_leases(self) -> None:
        held = {turn: turn.session.writer.lease for turn in self._running if turn.session is not None}
        if not held:
            return
        alive = await self._store.renew(list(held.values()), seconds=self._chat.lease)
        for turn in held:
            if turn.id not in alive and turn in self._running and not turn.closing:
                turn.cancel("lost")

    async def _withdraw_unconfirmed(self) -> None:
        """Undo the turns that may have begun without their client knowing, as soon as the database answers."""
        while self._unconfirmed:
            await asyncio.sleep(RETRY_INTERVAL)
            while self._unconfirmed:
                turn = self._unconfirmed[0]
                try:
                    await turn.withdraw()
                except Unavailable:
                    break  # it would be for the others too
                except Exception:  # noqa: BLE001  (one that cannot be withdrawn must not keep the others waiting)
                    _log.exception("a turn was not withdrawn")
                # Others may have pushed it out of the queue meanwhile.
                if self._unconfirmed[0] is turn:
                    self._unconfirmed.popleft()
