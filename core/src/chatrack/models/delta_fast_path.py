"""Sends text deltas straight from a model's stream to the client, bypassing the Agents SDK's queue.

The Agents SDK passes every event through half a dozen layers and a queue, in which a text delta changes nothing. A
delta may take the direct way when every event before it has been consumed.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any


class DeltaFastPath:
    """The direct way for the text deltas of one run.

    Args:
        deliver: sends a delta at once; returns False if the delta belongs to no message that is being sent.
    """

    def __init__(self, deliver: Callable[[Any], bool]) -> None:
        self.deliver = deliver
        self.last_consumed: object = None
        """The last event of a model that the consumer of the run has finished with."""


DELTA_FAST_PATH: ContextVar[DeltaFastPath | None] = ContextVar("chatrack.delta_fast_path", default=None)
"""The fast path of the run that is started in this context."""


async def bypass_queue(events: AsyncIterator[Any], fast_path: DeltaFastPath) -> AsyncGenerator[Any]:
    """Yield the events of a model's response, except for the deltas that were delivered directly.

    Args:
        events: all events of the response.
        fast_path: the fast path. A run inside this one inherits it and never uses it, because the consumer sees
            none of the inner run's events.
    """
    previous: object = events  # never equal to a consumed event
    async with contextlib.aclosing(events):  # type: ignore[type-var]  # a generator
        async for event in events:
            if (
                fast_path.last_consumed is previous
                and event.type == "response.output_text.delta"
                and fast_path.deliver(event)
            ):
                continue
            previous = event
            yield event
