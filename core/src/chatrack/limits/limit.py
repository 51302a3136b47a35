"""One limit, and what a caller who has reached it is told."""

import math

import msgspec

from chatrack.errors import TooManyRequests

DAY = 86_400
"""Seconds of a day."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed.

    Args:
        name: its key in `[limits]`.
        quota: how much.
        window: the seconds in which it is counted; None if it is not counted over time.
        unit: what is counted, if not requests: a quota unit of the headers.
        sentence: what the caller is told. It may say `{quota}`, `{window}` and `{wait}`.
    """

    name: str
    quota: int
    window: int | None
    unit: str | None = None
    sentence: str

    def reached(self, seconds: float) -> TooManyRequests:
        """Return the refusal of a caller who has reached the limit.

        Args:
            seconds: the time until there is room again.
        """
        wait = max(1, math.ceil(seconds))
        words = {"quota": f"{self.quota:,}", "wait": in_words(wait), "window": in_words(self.window or 0)}
        return TooManyRequests(
            self.sentence.format(**words),
            retry_after=wait,
            limit=self.name,
            quota=self.quota,
            window=self.window,
            unit=self.unit,
        )


def in_words(seconds: int) -> str:
    """Return a time as people say it, never shorter than it is: `90 seconds`, `5 minutes`, `8 hours`."""
    for unit, name in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit or seconds == unit:
            number = math.ceil(seconds / unit)
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return f"{seconds} second" if seconds == 1 else f"{seconds} seconds"
