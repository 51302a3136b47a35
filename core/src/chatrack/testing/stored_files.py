"""Files for the contract tests, and helpers to inspect what is stored."""

import secrets
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chatrack.errors import NotFound
from chatrack.interfaces.files import FileStore

PLAIN = "text/plain"


class BrokenSource(Exception):
    """Raised by the chunks of a file that never ends."""


def new_folder() -> str:
    """Return a prefix of keys that no other test has; it ends with `/`."""
    return f"contract/{secrets.token_hex(12)}/"


def pattern(size: int, seed: int = 0) -> bytes:
    """Return bytes that no other offset, part or seed has in the same order."""
    blocks = (b"%08x-%08x;" % (seed, number) for number in range(size // 18 + 1))
    return b"".join(blocks)[:size]


async def in_chunks(data: bytes, size: int = 100_000) -> AsyncGenerator[bytes]:
    """Yield bytes in pieces, with empty ones between them."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
        yield b""


async def breaking_after(data: bytes) -> AsyncGenerator[bytes]:
    """Yield bytes in pieces, then raise."""
    async for chunk in in_chunks(data):
        yield chunk
    raise BrokenSource


async def put(store: FileStore, key: str, data: bytes, *, content_type: str = PLAIN) -> int:
    """Store bytes."""
    return await store.put(key, in_chunks(data), content_type=content_type)


async def content_of(store: FileStore, key: str, **part: Any) -> bytes:
    """Return the bytes of a file, or a part of them."""
    return b"".join([chunk async for chunk in store.read(key, **part)])


async def keys_below(store: FileStore, prefix: str) -> list[str]:
    """Return the keys that begin with a prefix, sorted."""
    return sorted([file.key async for file in store.list(prefix)])


async def assert_missing(store: FileStore, key: str) -> None:
    """Assert that there is no file under a key."""
    reading = store.read(key)
    with pytest.raises(NotFound):
        await anext(reading)
    with pytest.raises(NotFound):
        await store.stat(key)
