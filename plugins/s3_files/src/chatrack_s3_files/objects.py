"""Files as the objects of a bucket or container, over obstore."""

import asyncio
import contextlib
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import obstore

from chatrack import FileStore, StoredFile
from chatrack_s3_files.failures import requesting

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

S = TypeVar("S", bound="ObjectStore")
T = TypeVar("T")

PIECE = 1024 * 1024
"""The size of the pieces in which files are read, in bytes."""

PART = 5 * 1024 * 1024
"""The size of the parts in which files are sent, in bytes: the smallest that S3 takes. Smaller files are sent at once."""

PARTS_AT_ONCE = 2
"""The number of parts of one file that are sent at the same time."""

ANSWER = 10.0
"""Seconds in which a request must be answered that is not one of storing a file."""

REQUEST = timedelta(seconds=20)
"""The time in which any request must have been sent and answered."""

GIVE_UP = 60.0
"""Seconds after which a request of storing a file is given up, with all that was tried again."""

CLIENT: "ClientConfig" = {"connect_timeout": timedelta(seconds=3), "timeout": REQUEST}

RETRIES: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}

_GATHERED = 256 * 1024
"""The number of bytes that are gathered from small chunks before they are handed over."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_KEY = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")


class ObjectFiles(FileStore, Generic[S]):
    """Files as objects.

    obstore runs in threads, which a forked process does not have. That is why nothing of it is used before the first
    request: the parent of several server processes starts and stops the store before it forks.

    Args:
        prefix: what the names of all objects begin with.
    """

    def __init__(self, *, prefix: str) -> None:
        prefix = prefix.removesuffix("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._opened: S | None = None

    @abstractmethod
    def open(self) -> S:
        """Return the bucket or container. Nothing is sent yet."""

    @property
    def objects(self) -> S:
        """The bucket or container."""
        if self._opened is None:
            self._opened = self.open()
        return self._opened

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        self._opened = None

    async def health(self) -> None:
        async with requesting("The files cannot be reached", ANSWER):
            # An object that is missing and a bucket that is missing look the same; a list tells them apart.
            await anext(aiter(obstore.list(self.objects, f"{self._prefix}.health/")), None)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        upload = _Upload(self.objects, self._path(key), content_type)
        gathered = bytearray()
        size = 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                gathered += chunk
                if len(gathered) >= _GATHERED:
                    await upload.write(bytes(gathered))
                    gathered.clear()
            await upload.write(bytes(gathered))
            await upload.complete()
        except BaseException:
            await upload.abort()
            raise
        return size

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        path = self._path(key)
        # Each piece is a request of its own: a slow reader keeps no connection, and one that stops leaves none.
        async with requesting("Files cannot be read right now", ANSWER, reading=True):
            found = await obstore.head_async(self.objects, path)
        options: GetOptions = {"if_match": found["e_tag"]} if found["e_tag"] else {}
        end = found["size"] if end is None else min(end, found["size"])
        while start < end:
            after = min(start + PIECE, end)
            async with requesting("Files cannot be read right now", ANSWER):
                result = await obstore.get_async(
                    self.objects, path, options=options | {"range": (start, after)}
                )
                piece = bytes(await result.bytes_async())
            start = after
            yield piece

    async def stat(self, key: str) -> StoredFile:
        path = self._path(key)
        async with requesting("Files cannot be reached right now", ANSWER, reading=True):
            found = await obstore.head_async(self.objects, path)
        return StoredFile(key=key, size=found["size"], modified_at=_micros(found["last_modified"]))

    async def delete(self, key: str) -> None:
        path = self._path(key)
        async with requesting("Files cannot be deleted right now", ANSWER):
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self.objects, path)

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        path = self._path(prefix.removesuffix("/")) + "/"
        async with requesting("Files cannot be listed right now", ANSWER):
            found = aiter(obstore.list(self.objects, path))
        while True:
            async with requesting("Files cannot be listed right now", ANSWER):
                page = await anext(found, None)
            if page is None:
                return
            for file in page:
                key = file["path"].removeprefix(self._prefix)
                yield StoredFile(key=key, size=file["size"], modified_at=_micros(file["last_modified"]))

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise ValueError(f"not a key of a file: {key!r}")
        return self._prefix + key


class _Upload:
    """An object that is being stored. Its requests end before their caller does, so that it can be aborted.

    Args:
        objects: where it is stored.
        path: its name.
        content_type: its media type.
    """

    def __init__(self, objects: "ObjectStore", path: str, content_type: str) -> None:
        self._writer = obstore.open_writer_async(
            objects,
            path,
            attributes={"Content-Type": content_type},
            buffer_size=PART,
            max_concurrency=PARTS_AT_ONCE,
        )

    async def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they are a part."""
        await self._finish(self._writer.write(data))

    async def complete(self) -> None:
        """Send what is left, and let the object appear."""
        await self._finish(self._writer.close())

    async def abort(self) -> None:
        """Delete the parts that were sent, as far as they can be reached."""
        failure = RuntimeError()  # without an error, leaving would complete the object
        with contextlib.suppress(Exception):
            await self._finish(self._writer.__aexit__(type(failure), failure, None))

    async def _finish(self, request: Awaitable[T]) -> T:
        async with requesting("Files cannot be stored right now", None):
            return await _to_its_end(request)


async def _to_its_end(request: Awaitable[T]) -> T:
    """Wait for a request, also if the caller is cancelled meanwhile.

    Raises:
        TimeoutError: it did not end in time.
    """
    task = asyncio.ensure_future(request)
    deadline = asyncio.get_running_loop().time() + GIVE_UP
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and (left := deadline - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.done():
        task.cancel()
    elif cancelled is None:
        return task.result()
    else:
        task.exception()  # seen
    raise cancelled or TimeoutError


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
