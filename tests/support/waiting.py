"""Waiting for what other tasks and processes do, without assuming how fast the machine is."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT = 60.0
"""Seconds after which a test stops waiting: far longer than anything takes, also on a slow and busy machine."""

PROCESS_LIMIT = 5 * LIMIT
"""The same for a process that has to start first: Python imports a great deal, and many start at the same time."""

_LONGEST_PAUSE = 0.05
"""Seconds between two looks at a condition, after a few quick ones."""


async def until(
    condition: Callable[[], T | None] | Callable[[], Awaitable[T | None]],
    seconds: float = LIMIT,
    otherwise: Callable[[], str] = lambda: "it did not happen",
) -> T:
    """Wait until a condition holds, and return what it returned.

    Args:
        condition: called again and again until it returns something true; may be async.
        seconds: how long to wait.
        otherwise: returns what to say when the time is up.

    Raises:
        AssertionError: the time is up.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 0.001
    while True:
        found: Any = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found  # type: ignore[no-any-return]  # awaited or not, it is a T
        assert loop.time() < deadline, otherwise()
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def until_turns(chat: Any, count: int) -> None:
    """Wait until a server has a number of turns; those that wait for their thread count too.

    Args:
        chat: a client of the server.
        count: how many.
    """

    async def there_are() -> bool:
        return (await chat.http.get("/ready")).json()["turns"] == count

    await until(there_are, otherwise=lambda: f"there are not {count} turns")


async def until_idle(chat: Any) -> None:
    """Wait until no turn runs."""
    await until_turns(chat, 0)


async def until_no_tasks(before: Collection["asyncio.Task[Any]"]) -> None:
    """Wait until there are no other tasks than before."""

    def left() -> set["asyncio.Task[Any]"]:
        return asyncio.all_tasks() - set(before) - {asyncio.current_task()}

    await until(lambda: not left(), otherwise=lambda: f"tasks were left behind: {left()}")
