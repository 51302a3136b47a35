"""A shorter way for text: from a model's stream to who shows it, past all that only looks at the other events.

The Agents SDK hands every event through half a dozen layers and a queue, in which plain text changes nothing. A
delta may go directly to whoever consumes the run when everything that came before it has arrived there.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any


class DeltaFastPath:
    """The shorter way into one run.

    Args:
        deliver: shows a delta at once; gives False if it is not of a text that is being shown.
    """

    def __init__(self, deliver: Callable[[Any], bool]) -> None:
        self.deliver = deliver
        self.last_consumed: object = None
        """The last event of a model that the consumer of the run has dealt with to its end."""


DELTA_FAST_PATH: ContextVar[DeltaFastPath | None] = ContextVar("chatrack.delta_fast_path", default=None)
"""The shorter way into the run that is being started in this context."""


async def bypass_queue(events: AsyncIterator[Any], shortcut: DeltaFastPath) -> AsyncGenerator[Any]:
    """Give the events of a model's answer but for those that went the shorter way.

    Args:
        events: all events.
        shortcut: the shorter way. Another run inside this one inherits it, and never gets to use it: the
            consumer deals with none of its events.
    """
    last: object = events  # nothing that could have been dealt with
    async with contextlib.aclosing(events):  # type: ignore[type-var]  # a generator
        async for event in events:
            if (
                shortcut.last_consumed is last
                and event.type == "response.output_text.delta"
                and shortcut.deliver(event)
            ):
                continue
            last = event
            yield event
