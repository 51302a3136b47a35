"""A bounded buffer of events between a turn and its response."""

import asyncio
from collections import deque
from collections.abc import Callable


class EventChannel:
    """Hands encoded events from one turn, which never waits, to one HTTP response, which may be slow or gone.

    Args:
        limit: how many bytes may wait while the reader is sending. A reader that waits for more does not lag,
            however large the next event is.
        on_close: called once when the reader closes the channel before the turn has ended.
    """

    def __init__(self, limit: int, on_close: Callable[[], None] | None = None) -> None:
        self.limit = limit
        self.on_close = on_close
        self.on_overflow: Callable[[], None] | None = None
        """Called when the reader lags too far behind and is dropped."""
        self.overflowed = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._sending = False
        self._waiter: asyncio.Future[None] | None = None

    # -- the turn's side -------------------------------------------------------------------------------

    def put(self, chunk: bytes) -> None:
        """Add an encoded event. Never waits: a reader that lags too far behind is dropped instead."""
        if self._closed or self._ended:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._sending and self._size > self.limit:
            self.overflowed = self._closed = True
            self._chunks.clear()
            if self.on_overflow is not None:
                self.on_overflow()
        self._wake()

    def fail(self, error: BaseException) -> None:
        """End before the first event: `wait_for_first` raises the error."""
        self._error = error
        self._ended = True
        self._wake()

    def end(self) -> None:
        """End the stream: no more events will come."""
        self._ended = True
        self._wake()

    # -- the response's side ---------------------------------------------------------------------------

    async def wait_for_first(self) -> None:
        """Wait for the first event, so that a refused request can still be answered with an HTTP error.

        Raises:
            RequestError: the turn refused the request.
        """
        while not self._chunks and not self._ended and not self._closed:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def next(self) -> bytes | None:
        """Wait for events and return all that there are, joined; None at the end."""
        self._sending = False
        while not self._chunks:
            if self._ended or self._closed:
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

    def close(self) -> None:
        """Stop reading: the client has gone, or has everything."""
        if self._closed:
            return
        self._closed = True
        self._chunks.clear()
        self._wake()
        if not self._ended and self.on_close is not None:
            self.on_close()

    def put_if_idle(self, chunk: bytes) -> None:
        """Send something that is no event, such as a heartbeat, unless an event is waiting to be sent."""
        if not self._chunks and not self._ended and not self._closed:
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
