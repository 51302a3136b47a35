"""Ending a command early, but in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_with_signals(work: Coroutine[Any, Any, None]) -> int:
    """Run something to its end, or cancel it at the first SIGINT or SIGTERM; the second one ends the process.

    Returns:
        The exit code: 0, or the one that tells of the signal.
    """
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    told: list[int] = []

    def forget() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def stop(number: int) -> None:
        told.append(number)
        forget()
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
        return 128 + told[0]
    finally:
        forget()
    return 0
