"""The options in a model name; their grammar is in the package's docstring."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

_OPTION = re.compile(r"([ndfhexkbszvwiat])(\d{1,7})")
_LABEL = re.compile(r"[a-z0-9.]{2,}")
# Options without a number, and the fields that they set to true.
_FLAGS = {
    "r": "reasoning",
    "noids": "without_ids",
    "sameids": "same_ids",
    "index0": "index_zero",
    "noindex": "without_index",
    "interleave": "interleaved",
    "split": "split",
    "crlf": "crlf",
    "noise": "noise",
    "comments": "comments",
    "refuse": "refuses",
    "quota": "quota",
    "thinktext": "thinks_in_text",
    "loop": "loops",
    "gullible": "gullible",
    "search": "searches",
    "image": "draws",
    "sig": "signed",
    "noenc": "without_thoughts",
}
Ending = Literal["stop", "content_filter", "length"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The options in a model name; pauses in seconds, positions in a stream as the number of tokens before them."""

    tokens: int = 8
    pause: float = 0.0
    first_pause: float = 0.0
    burst: int = 1
    hold_after: int | None = None
    ending: Ending = "stop"

    # Refusals by status
    status: int | None = None
    quota: bool = False
    retry_after: int | None = None
    times: int | None = None
    window: int | None = None

    # The answer
    reasoning: bool = False
    without_thoughts: bool = False
    thinks_in_text: bool = False
    refuses: bool = False
    loops: bool = False
    gullible: bool = False
    searches: bool = False
    draws: bool = False

    # Tool calls
    without_ids: bool = False
    same_ids: bool = False
    index_zero: bool = False
    without_index: bool = False
    interleaved: bool = False
    signed: bool = False

    # The stream
    cut_after: int | None = None
    silent_after: int | None = None
    reset_after: int | None = None
    malformed_after: int | None = None
    failed_after: int | None = None
    bare_failure: bool = False
    split: bool = False
    crlf: bool = False
    noise: bool = False
    comments: bool = False

    @property
    def scripted(self) -> bool:
        """Whether requests are refused with a scripted status."""
        return self.quota or self.status is not None

    @property
    def stop_after(self) -> int | None:
        """The number of tokens after which sending stops: the smallest of cut, silent and reset."""
        places = (self.cut_after, self.silent_after, self.reset_after)
        return min((place for place in places if place is not None), default=None)

    @property
    def garbled(self) -> bool:
        """Whether the stream has faulty events."""
        written_oddly = self.crlf or self.noise or self.comments
        return written_oddly or self.malformed_after is not None or self.failed_after is not None

    def mended(self) -> Behaviour:
        """Return the behaviour after the scripted error has been sent as often as ``-tN`` says.

        Without a scripted status, the faults of the stream are removed.
        """
        if self.scripted:
            return replace(self, status=None, quota=False)
        return replace(
            self,
            cut_after=None,
            silent_after=None,
            reset_after=None,
            malformed_after=None,
            failed_after=None,
        )


@lru_cache(maxsize=1024)
def parse_model(name: str) -> Behaviour | None:
    """Parse a model name; None if the fake has no such model."""
    head, *parts = name.split("-")
    if head != "fake":
        return None
    numbers: dict[str, int] = {}
    flags: dict[str, bool] = {}
    ending: Ending = "stop"
    for part in parts:
        if part in _FLAGS:
            flags[_FLAGS[part]] = True
        elif part == "filter":
            ending = "content_filter"
        elif part == "length":
            ending = "length"
        elif match := _OPTION.fullmatch(part):
            numbers[match[1]] = int(match[2])
        elif not _LABEL.fullmatch(part):
            return None
    if flags.get("thinks_in_text"):
        flags["reasoning"] = True
    return Behaviour(
        tokens=numbers.get("n", 8),
        pause=numbers.get("d", 0) / 1000,
        first_pause=numbers.get("f", 0) / 1000,
        burst=max(1, numbers.get("k", 1)),
        hold_after=numbers.get("h"),
        ending=ending,
        status=numbers.get("e"),
        retry_after=numbers.get("a"),
        times=numbers.get("t"),
        window=numbers.get("i"),
        cut_after=numbers.get("x"),
        silent_after=numbers.get("s"),
        reset_after=numbers.get("z"),
        malformed_after=numbers.get("b"),
        failed_after=numbers.get("v", numbers.get("w")),
        bare_failure="w" in numbers and "v" not in numbers,
        **flags,
    )
