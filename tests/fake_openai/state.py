"""Counters and recent requests of the fake API."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

KEPT_REQUESTS = 200


@dataclass(slots=True)
class State:
    """Counters over accepted requests (those not refused), and the last requests of any kind.

    started: answers begun, streamed or not; finished: answers sent in full, or ended on purpose by
    ``-vN``, ``-wN``, ``-xN`` or ``-zN``; aborted: answers whose client went away first, silent ones
    (``-sN``) too; open: answers under way now; requests: all POSTs to an API; failures: scripted
    errors given, by model name with ``-tN``; signatures: those of the tool calls made by signing
    models, by the call's id; released: answers to requests that hold one of these texts are not held
    back by ``-hN``.
    """

    started: int = 0
    finished: int = 0
    aborted: int = 0
    open: int = 0
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    signatures: dict[str, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    _held: dict[asyncio.Event, str] = field(default_factory=dict)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def record(self, path: str, headers: dict[str, str], body: Any) -> None:
        """Record a request; `headers` must not contain the key."""
        self.requests += 1
        self.log.append({"path": path, "headers": headers, "body": body})

    def fails(self, model: str, times: int) -> bool:
        """Return whether a request for a model that fails `times` times has to fail, and count it if so."""
        if self.failures[model] >= times:
            return False
        self.failures[model] += 1
        return True

    def begin(self) -> None:
        """Count the start of an answer."""
        self.started += 1
        self.open += 1

    def end(self, *, aborted: bool) -> None:
        """Count the end of an answer, complete or because the client disconnected."""
        self.open -= 1
        if aborted:
            self.aborted += 1
        else:
            self.finished += 1

    def hold(self, request: str) -> asyncio.Event:
        """Hold the answer to a request back; the event is set when it is released."""
        release = asyncio.Event()
        if any(text in request for text in self.released):
            release.set()
        self._held[release] = request
        return release

    def release(self, text: str = "") -> None:
        """Let answers go on that ``-hN`` holds back, also those that begin later: to requests with this text."""
        self.released.add(text)
        for release, request in self._held.items():
            if text in request:
                release.set()

    def stats(self) -> dict[str, Any]:
        """Return the counters as JSON-able data."""
        return {
            "started": self.started,
            "finished": self.finished,
            "aborted": self.aborted,
            "open": self.open,
            "requests": self.requests,
        }

    def reset(self) -> None:
        """Reset everything but `open`, which would become negative when those answers end."""
        self.started = self.finished = self.aborted = self.requests = 0
        self.failures.clear()
        self.signatures.clear()
        self.released.clear()
        self.log.clear()
