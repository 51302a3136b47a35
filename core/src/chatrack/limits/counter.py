"""Counting in moving windows, in this process or in Redis."""

import importlib.util
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import structlog

from chatrack.errors import ConfigError, Unavailable
from chatrack.limits.limit import Limit
from chatrack.settings import Secret

T = TypeVar("T")

TIMEOUT = 1.0
"""Seconds that Redis has to answer, and again to be connected to."""

RETRY_INTERVAL = 1.0
"""Seconds after a failure in which Redis is not asked again: requests must not wait for it one after the other."""

MAX_CONNECTIONS = 32
"""Connections to Redis of one process. Requests beyond that wait for one, as long as for an answer."""

_PREFIX = "chatrack"
_log = structlog.get_logger(source="chatrack.limits")


class Counter:
    """Counts entries in moving windows.

    Args:
        storage: the URL of Redis; None for the memory of this process.
        on_error: whether entries are allowed or denied while Redis cannot be reached.
        file: the name of the config file, for errors.

    Raises:
        ConfigError: the client of Redis is not installed, or the URL is wrong.
    """

    def __init__(self, storage: Secret | None, on_error: Literal["allow", "deny"], *, file: str) -> None:
        self._url = storage
        self._on_error = on_error
        self._limiter: Any = None
        self._pool: Any = None
        self._items: dict[Limit, Any] = {}
        self._errors: tuple[type[Exception], ...] = ()
        self._available = True
        self._retry_at = 0.0
        self.place = "in this process" if storage is None else f"in Redis at {_place(storage, file)}"
        """Where is counted, for people."""
        if storage is not None and importlib.util.find_spec("redis") is None:
            raise ConfigError(
                f"{file}: limits.storage: the client of Redis is not installed; "
                "run `pip install 'chatrack[redis]'`"
            )

    @property
    def is_shared(self) -> bool:
        """Whether all processes count together."""
        return self._url is not None

    async def open(self) -> bool:
        """Return whether the storage can be reached; log it if not."""
        limiter = self._load()
        answered = await self._ask(lambda: limiter.storage.get_moving_window("start", 1, 1))
        return answered is not None

    async def close(self) -> None:
        """Disconnect."""
        pool, self._pool, self._limiter = self._pool, None, None
        if pool is not None:
            await pool.aclose()

    async def wait_for(self, limit: Limit, key: str) -> float:
        """Count an entry.

        Args:
            limit: its quota and its window.
            key: whose entry it is.

        Returns:
            0 if the entry is within the limit; otherwise it does not count, and these are the seconds until there is room.

        Raises:
            Unavailable: Redis cannot be reached, and `on_storage_error` is `deny`.
        """
        limiter, item = self._limiter or self._load(), self._items.get(limit) or self._item(limit)
        allowed = await self._ask(lambda: limiter.hit(item, key))
        if allowed is None:
            return self._without_answer()
        if allowed:
            return 0.0
        stats = await self._ask(lambda: limiter.get_window_stats(item, key))
        if stats is None:
            return self._without_answer()
        return max(float(stats.reset_time) - time.time(), 0.001)

    def _without_answer(self) -> float:
        if self._on_error == "deny":
            raise Unavailable("Requests cannot be counted right now.", retry_after=5)
        return 0.0

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer of the storage; None if it cannot be reached.

        An outage is logged when it begins and when it ends. In between one request each second tries again.
        """
        if not self._available:
            moment = time.monotonic()
            if moment < self._retry_at:
                return None
            self._retry_at = moment + RETRY_INTERVAL
        try:
            answer = await question()
        except self._errors as error:
            self._retry_at = time.monotonic() + RETRY_INTERVAL
            if self._available:
                self._available = False
                # The text of an error may quote the password.
                reason = type(error.__cause__ or error).__name__
                _log.error(
                    "limits storage unavailable",
                    counted=self.place,
                    on_storage_error=self._on_error,
                    reason=reason,
                )
            return None
        if not self._available:
            self._available = True
            _log.info("limits storage available again", counted=self.place)
        return answer

    def _item(self, limit: Limit) -> Any:
        from limits import RateLimitItemPerSecond

        item = RateLimitItemPerSecond(limit.quota, limit.window, namespace=limit.name)
        self._items[limit] = item
        return item

    def _load(self) -> Any:
        """Return the limiter. `limits` takes longer to import than the rest of a command, and most need it not."""
        from limits.aio.strategies import MovingWindowRateLimiter
        from limits.errors import StorageError

        if self._limiter is None:
            self._errors = (StorageError, OSError)
            self._limiter = MovingWindowRateLimiter(self._storage())
        return self._limiter

    def _storage(self) -> Any:
        if self._url is None:
            from chatrack.limits.memory import MemoryWindows

            return MemoryWindows()
        from limits.aio.storage import RedisStorage
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as ConnectionBroken

        url = self._url.reveal()
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            # Once, because an idle connection may have been closed since it was used. Not if Redis is silent.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionBroken,)),
        )
        return RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=_PREFIX,
            connection_pool=self._pool,
        )


def _place(storage: Secret, file: str) -> str:
    """Return host, port and number of a Redis database, without its password.

    Raises:
        ConfigError: the URL is none of Redis.
    """
    try:
        url = urlsplit(storage.reveal())
        host, port = url.hostname, url.port or 6379
    except ValueError:
        host = None
    if host is None or url.scheme not in {"redis", "rediss"}:
        raise ConfigError(f'{file}: limits.storage: expected a URL such as "redis://127.0.0.1:6379/0"')
    return f"{host}:{port}{url.path.rstrip('/')}"
