"""Deadlines for the reads of a stream."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ReadDeadline:
    """Bounds the reads of one stream in time, one after another, with a single timer.

    `asyncio.timeout` does the same for one read, but costs a timer, a context and half a dozen calls per token.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._task: asyncio.Task[object] | None = None
        """The task that reads, while one does."""
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    async def read(self, pending: Awaitable[T], deadline: float) -> T:
        """Await a read.

        Args:
            pending: the read.
            deadline: when it has to be complete, on the loop's clock.

        Raises:
            TimeoutError: the deadline has passed.
        """
        task = asyncio.current_task()
        assert task is not None
        self._deadline = deadline
        if self._timer is None or deadline < self._timer.when():
            self._schedule()
        cancelling = task.cancelling()
        self._task = task
        try:
            return await pending
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._task, self._expired = None, False

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._task is None:
            return  # no read is pending; the next one schedules the timer again
        if self._loop.time() < self._deadline:
            self._schedule()
            return
        self._expired = True
        self._task.cancel()
