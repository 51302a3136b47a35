"""Moving windows in the memory of this process.

`limits` has a storage of its own for this, whose cost grows with every key (docs/upstream.md: memory-expiry).
"""

import time
from collections import OrderedDict, deque
from typing import Any, NoReturn

from limits.aio.storage import MovingWindowSupport, Storage

MAX_KEYS = 100_000
"""The number of keys that are remembered of one limit. Beyond it the one that was idle longest is forgotten."""

_EXPIRED_PER_ENTRY = 2
"""How many idle keys are looked at for each new entry: more than are added, so that all of them go in time."""


class MemoryWindows(Storage, MovingWindowSupport):
    """A storage of `limits`: for each key the times of its newest entries."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        # By limit: the key that was idle longest is the first to expire, and many addresses do not displace users.
        self._windows: dict[tuple[str, int], OrderedDict[str, deque[float]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the methods raise if the storage fails; nothing does."""
        return MemoryError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add an entry, unless the window has `limit` entries; return whether it was added."""
        now = time.time()
        keys = self._windows.setdefault(_limit_of(key, expiry), OrderedDict())
        self._drop_expired(keys, now - expiry)
        entries = keys.get(key)
        if entries is None:
            entries = keys[key] = deque()
            if len(keys) > MAX_KEYS:
                keys.popitem(last=False)
        keys.move_to_end(key)
        while entries and entries[0] <= now - expiry:
            entries.popleft()
        if len(entries) >= limit:
            return False
        entries.append(now)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the time of the oldest entry in the window, and the number of entries."""
        now = time.time()
        keys = self._windows.get(_limit_of(key, expiry))
        entries = () if keys is None else keys.get(key, ())
        inside = [moment for moment in entries if moment > now - expiry]
        return (inside[0], len(inside)) if inside else (now, 0)

    async def clear(self, key: str) -> None:
        """Forget a key."""
        for keys in self._windows.values():
            keys.pop(key, None)

    async def reset(self) -> int | None:
        """Forget all keys; return how many there were."""
        count = len(self)
        self._windows.clear()
        return count

    async def check(self) -> bool:
        """Return whether the storage works."""
        return True

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Raise: only moving windows are kept."""
        self._refuse()

    async def get(self, key: str) -> int:
        """Raise: only moving windows are kept."""
        self._refuse()

    async def get_expiry(self, key: str) -> float:
        """Raise: only moving windows are kept."""
        self._refuse()

    @staticmethod
    def _drop_expired(keys: "OrderedDict[str, deque[float]]", before: float) -> None:
        for _ in range(_EXPIRED_PER_ENTRY):
            if not keys:
                return
            entries: Any = keys[next(iter(keys))]
            if entries[-1] > before:
                return
            keys.popitem(last=False)

    @staticmethod
    def _refuse() -> NoReturn:
        raise NotImplementedError("this storage keeps moving windows only")


def _limit_of(key: str, expiry: int) -> tuple[str, int]:
    """Return what tells limits apart: the name, which all their keys begin with, and the window."""
    return key.partition("/")[0], expiry
