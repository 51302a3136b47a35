"""Gaps in answers: how long no text arrives on an open stream.

A gap is the time between two network reads of a stream that contain text. Deltas that arrive in one read
have no gaps between them: counted as 0, they would lower the percentiles, and the more so the further a
server lags behind and sends several deltas at once. While the server keeps up, each read contains one
delta, and both ways of counting agree.

A gap that has not ended at the end of the window counts with its length so far if it is its stream's
longest, and so does the wait for the first text: a stalled stream is not a stream without gaps.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import cast

from bench.client import DELTA, HttpError

ARRIVALS = 100  # streams opened per second, on average
BEGIN_SECONDS = 20.0
POLL = 0.05


class Stream(asyncio.Protocol):
    """One streamed answer. Only times are kept, because the load core receives thousands of deltas a second.

    `times` holds the `time.perf_counter()` of the request and of each network read that contained text,
    `deltas` is the number of text deltas, `over` is true once the answer or the connection has ended, and
    `last` holds the bytes of the last read.
    """

    transport: asyncio.Transport

    def __init__(self, request: bytes, marker: bytes = DELTA) -> None:
        self.times: list[float] = []
        self.deltas = 0
        self.over = False
        self.last = b""
        self._request = request
        self._marker = marker
        self._keep = 1 - len(marker)
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.transport.write(self._request)
        self.times.append(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data  # a marker may be split between two reads
        found = seen.count(self._marker)
        if found:
            self.times.append(time.perf_counter())
            self.deltas += found
        self._tail = seen[self._keep :]
        self.last = data
        if data.endswith(b"\r\n0\r\n\r\n"):  # the last chunk
            self.over = True


async def open_streams(port: int, request: bytes, count: int, marker: bytes = DELTA) -> list[Stream]:
    """Open streams one after the other, at random times from a fixed seed, and wait for text on each.

    Streams that are opened together would stay in step. Streams without text after `BEGIN_SECONDS` are
    returned as they are. The caller closes the transports.
    """
    loop = asyncio.get_running_loop()
    random = Random(count)
    streams: list[Stream] = []
    for _ in range(count):
        _, stream = await loop.create_connection(lambda: Stream(request, marker), "127.0.0.1", port)
        streams.append(stream)
        await asyncio.sleep(random.expovariate(ARRIVALS))
    for _ in range(int(BEGIN_SECONDS / POLL)):
        if all(stream.deltas or stream.over for stream in streams):
            break
        await asyncio.sleep(POLL)
    if not any(stream.deltas for stream in streams):
        raise HttpError(f"none of {count} streams has any text: {streams[0].last[-300:]!r}")
    return streams


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of some streams during a window, in seconds, and the numbers of deltas and of lost streams.

    `lost` counts the streams that ended early or never began.
    """

    p50: float
    p99: float
    worst_p99: float
    longest: float
    deltas: int
    lost: int
    seconds: float


async def watch(streams: Sequence[Stream], seconds: float) -> Gaps:
    """Measure the gaps of open streams during a window."""
    deltas = sum(stream.deltas for stream in streams)
    begin = time.perf_counter()
    await asyncio.sleep(seconds)
    end = time.perf_counter()
    deltas = sum(stream.deltas for stream in streams) - deltas
    lost = sum(stream.over or not stream.deltas for stream in streams)
    each = [_gaps(stream.times, begin, end) for stream in streams]
    pooled = sorted(gap for gaps in each for gap in gaps)
    return Gaps(
        p50=_quantile(pooled, 0.5),
        p99=_quantile(pooled, 0.99),
        worst_p99=max(_quantile(gaps, 0.99) for gaps in each),
        longest=pooled[-1],
        deltas=deltas,
        lost=lost,
        seconds=end - begin,
    )


def _gaps(times: Sequence[float], begin: float, end: float) -> list[float]:
    """Return the gaps of a stream that end within a window, sorted; `times` begins before the window."""
    seen = times[bisect_left(times, begin) - 1 : bisect_right(times, end)]
    gaps = sorted(after - before for before, after in pairwise(seen))
    silence = end - seen[-1]
    if not gaps or silence > gaps[-1]:  # has not ended yet, but is the longest already: the stream stalls
        gaps.append(silence)
    return gaps


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
