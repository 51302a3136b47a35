"""The keys that verify tokens: one that the config has, or the set that an issuer publishes (JWKS)."""

import asyncio
import contextlib
import functools
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx2
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from chatrack import Unavailable

_log = structlog.get_logger(source="chatrack.jwt_auth")

REFRESH_INTERVAL: Final = 600.0
"""Seconds after which the set of keys is loaded again, so that keys that were withdrawn are forgotten."""

MIN_INTERVAL: Final = 10.0
"""Seconds between two loads that tokens with unknown keys cause: anybody can send such tokens."""

TIMEOUT: Final = 5.0
"""Seconds that the issuer has to answer."""

MAX_SIZE: Final = 1_048_576
"""The largest set of keys, in bytes."""

MIN_RSA_BITS: Final = 2048

_LONGEST_HASH = 64
"""Bytes of the longest hash that HMAC is used with, SHA-512; no hash has shorter blocks."""

_RSA = frozenset({"RS256", "RS384", "RS512"})
_CURVES = {
    "secp256r1": frozenset({"ES256"}),
    "secp384r1": frozenset({"ES384"}),
    "secp521r1": frozenset({"ES512"}),
}


class Key(msgspec.Struct, frozen=True, eq=False):
    """A key, and the algorithms that it may be used with.

    Args:
        material: what PyJWT takes.
        algorithms: the algorithms.
        id: its `kid`; None if it has none.
    """

    material: Any
    algorithms: frozenset[str]
    id: str | None = None


class Keys(ABC):
    """The keys that verify tokens."""

    @abstractmethod
    async def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key that verifies a token.

        Args:
            key_id: the `kid` of the token; None if it names none.
            algorithm: its algorithm; one that is accepted.

        Returns:
            The key; None if no key fits, or a token without `kid` could be verified by several.

        Raises:
            Unavailable: there are no keys yet, and they cannot be loaded.
        """

    @abstractmethod
    def is_current(self, key: Key) -> bool:
        """Return whether a key that was found earlier would still be found."""


class OneKey(Keys):
    """One key, which tokens need not name.

    Args:
        key: the key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, key_id: str | None, algorithm: str) -> Key | None:
        return self._key if algorithm in self._key.algorithms else None

    def is_current(self, key: Key) -> bool:
        return key is self._key


class PublishedKeys(Keys):
    """The keys at a URL. They are kept while the URL cannot be reached.

    Args:
        url: where the issuer publishes them.
        clock: the time, in seconds; it never goes back.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._shown_url = _without_secrets(url)
        self._clock = clock
        self._keys: list[Key] = []
        self._document: Any = None
        self._loaded_at: float | None = None
        self._loading: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> Key | None:
        key = self._match(key_id, algorithm)
        if key is None and self._may_load():
            await self._load()
            key = self._match(key_id, algorithm)
        if key is None and not self._keys:
            raise Unavailable("Tokens cannot be verified now.", retry_after=int(MIN_INTERVAL))
        return key

    def is_current(self, key: Key) -> bool:
        return key in self._keys

    @contextlib.asynccontextmanager
    async def refreshing(self) -> AsyncIterator[None]:
        """Load the keys now and then, in the background."""
        refresher = asyncio.create_task(self._refresh(), name="jwks")
        try:
            yield
        finally:
            tasks = [task for task in (refresher, self._loading) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self) -> None:
        while True:
            await self._load()
            await asyncio.sleep(REFRESH_INTERVAL)

    def _match(self, key_id: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if algorithm in key.algorithms and key_id in {None, key.id}]
        return fitting[0] if len(fitting) == 1 else None

    def _may_load(self) -> bool:
        if self._loading is not None:
            return True
        return self._loaded_at is None or self._clock() - self._loaded_at >= MIN_INTERVAL

    async def _load(self) -> None:
        """Load the keys, together with all others who want them now. A failure is logged."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_once(), name="jwks load")
            self._loading.add_done_callback(self._forget_loading)
        # A request that is cancelled must not take the load away from the others.
        await asyncio.shield(self._loading)

    def _forget_loading(self, _task: asyncio.Task[None]) -> None:
        self._loading = None

    async def _load_once(self) -> None:
        self._loaded_at = self._clock()
        try:
            document = await _fetch(self._url)
            if document != self._document:
                self._keys = _read_keys(document)
                self._document = document
                _log.info("keys loaded", url=self._shown_url, keys=len(self._keys))
        except Exception as error:  # noqa: BLE001  (whatever it is: the next load may forget a withdrawn key)
            _log.warning(
                "keys cannot be loaded", url=self._shown_url, reason=_reason_of(error), kept=len(self._keys)
            )


def secret_key(secret: str, algorithms: Sequence[str]) -> Key:
    """Return the key of a shared secret."""
    # HMAC itself fills a key up with zeros. PyJWT warns of keys that are shorter than the hash.
    return Key(secret.encode().ljust(_LONGEST_HASH, b"\0"), frozenset(algorithms))


def public_key(pem: str) -> Key:
    """Return a public key.

    Args:
        pem: the key in PEM.

    Raises:
        ValueError: it is no public key, or of a kind that is not supported.
    """
    try:
        material = load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("expected a public key in PEM (BEGIN PUBLIC KEY)") from None
    algorithms = _algorithms_of(material)
    if not algorithms:
        raise ValueError(
            f"expected a key for RSA with {MIN_RSA_BITS} bits or more, P-256, P-384, P-521 or Ed25519"
        )
    return Key(material, algorithms)


def _algorithms_of(material: object) -> frozenset[str]:
    match material:
        case rsa.RSAPublicKey(key_size=bits) if bits >= MIN_RSA_BITS:
            return _RSA
        case ec.EllipticCurvePublicKey(curve=curve):
            return _CURVES.get(curve.name, frozenset())
        case ed25519.Ed25519PublicKey():
            return frozenset({"EdDSA"})
    return frozenset()


def _without_secrets(url: str) -> str:
    """Return a URL for log lines: without user and password, and without the query, which may have a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reason_of(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):  # its own text repeats the URL
        return f"status {error.response.status_code}"
    return str(error) or type(error).__name__


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Return the SSL context of all loads. Reading the trusted certificates blocks the event loop for 25 ms."""
    return httpx2.create_ssl_context()


async def _fetch(url: str) -> Any:
    """Return the JSON at a URL.

    Raises:
        httpx2.HTTPError: it cannot be loaded.
        TimeoutError: it takes too long.
        ValueError: it is no JSON, or too large.
    """
    async with (
        asyncio.timeout(TIMEOUT),
        httpx2.AsyncClient(headers={"accept": "application/json"}, verify=_ssl_context()) as client,
        client.stream("GET", url) as response,
    ):
        response.raise_for_status()
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_SIZE:
                raise ValueError(f"more than {MAX_SIZE} bytes")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not JSON") from error


def _read_keys(document: Any) -> list[Key]:
    """Return the keys of a set that verify signatures; others are skipped.

    Raises:
        ValueError: there is none.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a set of keys")  # noqa: TRY004  (one error for all that cannot be used)
    keys = [key for entry in entries if (key := _read_key(entry)) is not None]
    if not keys:
        raise ValueError("no key in it verifies signatures")
    return keys


def _read_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or not _may_verify(entry):
        return None
    try:
        material = jwt.PyJWK.from_dict(entry).key
    except Exception as error:  # noqa: BLE001  (PyJWT and cryptography raise much; the other keys must stay usable)
        _log.debug("key skipped", reason=type(error).__name__)
        return None
    algorithms = _algorithms_of(material)  # none for a shared secret, and none for a private key
    if "alg" in entry:
        algorithms &= {entry["alg"]}
    key_id = entry.get("kid")
    return Key(material, algorithms, key_id if isinstance(key_id, str) else None) if algorithms else None


def _may_verify(entry: dict[str, Any]) -> bool:
    """Return whether a key is meant to verify signatures, and what says so has the right type."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(entry.get("alg", ""), str)
    )
