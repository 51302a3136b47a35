"""The event loop's clock, moved by tests of time limits, so that they neither wait nor depend on the machine."""

import asyncio


def advance(seconds: float) -> None:
    """Move the clock of the running event loop forward: timers that end by then are due at once.

    Other clocks stay as they are: those of databases, threads and `time`.
    """
    loop = asyncio.get_running_loop()
    time = loop.time
    loop.time = lambda: time() + seconds  # type: ignore[method-assign]  # asyncio asks the loop itself


async def run_what_is_ready(steps: int = 100) -> None:
    """Let other tasks run for some steps: what was sent over loopback sockets arrives and is handled."""
    for _ in range(steps):
        await asyncio.sleep(0)
