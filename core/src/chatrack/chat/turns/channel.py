"""What stands between a turn, which never waits, and one HTTP response, which may be slow or gone."""

import asyncio
from collections import deque
from collections.abc import Callable


class EventChannel:
    """A bounded buffer of encoded events with one writer (the turn) and one reader (the response).

    Args:
        limit: how many bytes may wait while the reader is busy sending. A reader that waits for more does not
            lag, however large the next event is.
        on_leave: called once when the reader goes before the turn has ended.
    """

    def __init__(self, limit: int, on_leave: Callable[[], None] | None = None) -> None:
        self.limit = limit
        self.on_leave = on_leave
        self.on_overflow: Callable[[], None] | None = None
        self.overflowed = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._refusal: BaseException | None = None
        self._ended = False
        self._left = False
        self._sending = False
        self._waiter: asyncio.Future[None] | None = None

    # -- the turn's side -------------------------------------------------------------------------------

    def put(self, chunk: bytes) -> None:
        """Add an encoded event. Never waits; a reader that lags too far behind is dropped instead."""
        if self._left or self._ended:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._sending and self._size > self.limit:
            self.overflowed = self._left = True
            self._chunks.clear()
            if self.on_overflow is not None:
                self.on_overflow()
        self._wake()

    def refuse(self, error: BaseException) -> None:
        """End before the first event: the reader's `first` raises the error."""
        self._refusal = error
        self._ended = True
        self._wake()

    def end(self) -> None:
        """Say that no more events will come."""
        self._ended = True
        self._wake()

    # -- the response's side ---------------------------------------------------------------------------

    async def first(self) -> None:
        """Wait until there is an event, so that refusals can still be HTTP errors.

        Raises:
            RequestError: the turn refused.
        """
        while not self._chunks and not self._ended and not self._left:
            await self._wait()
        if self._refusal is not None:
            raise self._refusal

    async def next(self) -> bytes | None:
        """Wait for events and take all there are in one piece; None at the end."""
        self._sending = False
        while not self._chunks:
            if self._ended or self._left:
                return None
            await self._wait()
        self._sending = True
        if len(self._chunks) == 1:
            data = self._chunks.popleft()
        else:
            data = b"".join(self._chunks)
            self._chunks.clear()
        self._size = 0
        return data

    def leave(self) -> None:
        """Say that nobody reads any more."""
        if self._left:
            return
        self._left = True
        self._chunks.clear()
        self._wake()
        if not self._ended and self.on_leave is not None:
            self.on_leave()

    def nudge(self, chunk: bytes) -> None:
        """Send something that is no event, such as a heartbeat, if there is nothing else to send."""
        if not self._chunks and not self._ended and not self._left:
            self._chunks.append(chunk)
            self._wake()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
