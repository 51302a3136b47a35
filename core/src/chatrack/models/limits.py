"""How long a model may take."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a call of a model may take, in seconds.

    Args:
        total: from the request to the end of the answer.
        first_token: from the request to the first word, thought or argument of a streamed answer, retries included.
        idle: between two pieces of it after that.
    """

    total: float = 600.0
    first_token: float = 120.0
    idle: float = 60.0


class ReadDeadline:
    """Sees to it that no read of a stream takes too long, with one timer for all of them.

    `asyncio.timeout` does the same for one read, at the price of a timer, a context and half a dozen calls for
    every token.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._task: asyncio.Task[object] | None = None
        """Who waits, while somebody does."""
        self._timer: asyncio.TimerHandle | None = None
        self._late = False

    async def read(self, what: Awaitable[T], until: float) -> T:
        """Wait for something.

        Args:
            what: what to wait for.
            until: how long, on the loop's clock.

        Raises:
            TimeoutError: it did not come in time.
        """
        task = asyncio.current_task()
        assert task is not None
        self._until = until
        if self._timer is None or until < self._timer.when():
            self._set()
        cancelling = task.cancelling()
        self._task = task
        try:
            return await what
        except asyncio.CancelledError:
            if self._late and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._task, self._late = None, False

    def close(self) -> None:
        """ReadDeadline no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._until, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next who does sets it again
        if self._loop.time() < self._until:
            self._set()
            return
        self._late = True
        self._task.cancel()
