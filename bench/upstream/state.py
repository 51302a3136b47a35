"""What the fake upstream remembers about its traffic."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

KEPT_REQUESTS = 200


@dataclass(slots=True)
class State:
    """Counters over accepted requests (those not refused), and the last requests of any kind.

    started: answers begun, streamed or not; finished: answers sent in full, or cut on purpose by
    ``-xN``; aborted: answers whose client went away first; open: answers under way now;
    last_abort_at: `time.time()` of the newest abort, or None; requests: all POSTs under /v1.
    """

    started: int = 0
    finished: int = 0
    aborted: int = 0
    open: int = 0
    last_abort_at: float | None = None
    requests: int = 0
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def record(self, path: str, headers: dict[str, str], body: Any) -> None:
        """Note a request; `headers` must not hold the key any more."""
        self.requests += 1
        self.log.append({"path": path, "headers": headers, "body": body})

    def begin(self) -> None:
        """Note that an answer begins."""
        self.started += 1
        self.open += 1

    def end(self, *, aborted: bool) -> None:
        """Note that an answer ended, in full or because the client went away."""
        self.open -= 1
        if aborted:
            self.aborted += 1
            self.last_abort_at = time.time()
        else:
            self.finished += 1

    def stats(self) -> dict[str, Any]:
        """The counters as JSON-able data."""
        return {
            "started": self.started,
            "finished": self.finished,
            "aborted": self.aborted,
            "open": self.open,
            "last_abort_at": self.last_abort_at,
            "requests": self.requests,
        }

    def reset(self) -> None:
        """Forget all but `open`, which would go negative once those answers end."""
        self.started = self.finished = self.aborted = self.requests = 0
        self.last_abort_at = None
        self.log.clear()
