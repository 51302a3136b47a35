"""Cancelling a command by a signal."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_with_signals(work: Coroutine[Any, Any, None]) -> int:
    """Run a coroutine; cancel it at the first SIGINT or SIGTERM. The second signal ends the process.

    Returns:
        The exit code: 0, or 128 and the number of the signal.
    """
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def remove_handlers() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def stop(number: int) -> None:
        received.append(number)
        remove_handlers()
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    finally:
        remove_handlers()
    return 0
