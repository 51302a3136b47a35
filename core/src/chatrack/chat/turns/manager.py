"""All turns of this process: starting them, keeping their leases and checkpoints, and ending them in good time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from chatrack.chat.turns.turn import Turn
from chatrack.errors import ThreadBusy, Unavailable

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer

_POLL = 0.2

_PATIENCE = 10.0
"""So many seconds a cancelled turn gets to store what it has."""

_WAITING = 4
"""So many messages may wait for the turn of one thread to end; more are refused at once."""

_RENEWALS = 4
"""How often a lease is renewed before it would expire."""

_log = structlog.get_logger(source="chatrack.turns")


class TurnManager:
    """The running turns of one server."""

    def __init__(self, server: "ChatrackServer") -> None:
        self._server = server
        self._running: dict[Turn, asyncio.Task[None]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._aside: set[asyncio.Task[None]] = set()
        self.draining = False
        """Whether new turns are refused."""

    def __len__(self) -> int:
        return len(self._running)

    def open(self) -> None:
        """Start renewing leases and saving checkpoints."""
        chat = self._server.chat
        self._keepers = [
            asyncio.create_task(self._every(chat.checkpoint, self._save), name="checkpoints"),
            asyncio.create_task(self._every(chat.lease / _RENEWALS, self._renew), name="leases"),
        ]

    async def close(self) -> None:
        """Cancel the turns that are still running, and stop keeping."""
        await self.drain(0)
        others = [*self._keepers, *self._aside]
        for other in others:
            other.cancel()
        if others:
            await asyncio.wait(others)

    def aside(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something that may outlive its turn, but not the server."""
        task = asyncio.create_task(work, name=name)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    def start(self, turn: Turn) -> None:
        """Run a turn as a task of its own.

        Raises:
            Unavailable: the server is being stopped.
        """
        self.check_open()
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._running[turn] = task
        task.add_done_callback(lambda _task: self._running.pop(turn, None))

    def check_open(self) -> None:
        """Refuse new turns while the server is being stopped.

        Raises:
            Unavailable: it is.
        """
        if self.draining:
            raise Unavailable("The server is restarting.", retry_after=5)

    async def wait_for(self, thread_id: str, seconds: float, *, but: Turn) -> None:
        """Wait for a thread to become free, or a while if it is held by another process.

        Args:
            thread_id: the thread.
            seconds: how long at the most.
            but: the turn that waits.

        Raises:
            ThreadBusy: too many are waiting already.
        """
        others = [turn for turn in self._running if turn.plan.thread_id == thread_id and turn is not but]
        if sum(turn.transcript is None for turn in others) >= _WAITING:
            raise ThreadBusy("This thread already has a turn running.", retry_after=1)
        holding = [self._running[turn] for turn in others if turn.transcript is not None]
        if holding:
            await asyncio.wait(holding, timeout=seconds)
        else:
            await asyncio.sleep(min(seconds, _POLL))

    def lose(self, thread_id: str) -> None:
        """Stop the turns of a thread that was deleted; the others learn it from their leases."""
        for turn in list(self._running):
            if turn.plan.thread_id == thread_id:
                turn.cancel("lost")

    async def drain(self, grace: float) -> None:
        """Take no new turns, let the running ones end, and cancel those that do not end in time.

        Args:
            grace: how many seconds they get.
        """
        self.draining = True
        if self._running and grace > 0:
            await asyncio.wait(list(self._running.values()), timeout=grace)
        for turn in list(self._running):
            turn.cancel("shutdown")
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=_PATIENCE)
        for turn in self._running:
            turn.log.error("the turn does not end; its thread is free again when its lease has expired")

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Unavailable:
                continue  # said already; the next round may find the database again
            except Exception:  # noqa: BLE001  (leases and checkpoints of all turns hang on this loop)
                _log.exception("keeping turns failed")

    async def _save(self) -> None:
        unsaved = []
        for turn in list(self._running):
            try:
                if turn.transcript is not None and (records := turn.transcript.unsaved()):
                    unsaved.append((turn.transcript, records))
            except Exception:
                turn.log.exception("an unfinished item cannot be saved")
        if not unsaved:
            return
        saved = asyncio.get_running_loop().create_future()
        try:
            for transcript, _ in unsaved:
                transcript.checkpointing = saved
            await self._server.store.checkpoint(
                [(transcript.lease, records, transcript.uncommitted) for transcript, records in unsaved]
            )
        except BaseException:
            for transcript, _ in unsaved:
                transcript.save_again()
            raise
        finally:
            saved.set_result(None)

    async def _renew(self) -> None:
        held = {turn: turn.transcript.lease for turn in list(self._running) if turn.transcript is not None}
        if not held:
            return
        alive = await self._server.store.renew(list(held.values()), seconds=self._server.chat.lease)
        for turn in held:
            if turn.id not in alive and turn in self._running and not turn.closing:
                turn.cancel("lost")
