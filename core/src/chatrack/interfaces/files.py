"""The interface of file stores."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Literal

import msgspec


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file store knows about a file.

    Args:
        key: its key.
        size: its size in bytes.
        modified_at: when it was stored, in microseconds since 1970.
    """

    key: str
    size: int
    modified_at: int


class UploadTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client may send the bytes of a file to, without this server.

    Args:
        url: the URL. Whoever has it may write the file until it expires.
        method: the HTTP method.
        headers: headers that the request must have.
    """

    url: str
    method: Literal["PUT", "POST"] = "PUT"
    headers: Mapping[str, str] = {}


class FileStore(ABC):
    """A store of files: bytes under keys.

    Keys are paths such as `files/3f2a/atc_0199…`: ASCII letters, digits, `_`, `-`, `.` and `/`, no more than 200 characters, with
    no empty, `.` or `..` part. Methods may be called concurrently. They raise `Unavailable` while the files cannot be reached.
    """

    @abstractmethod
    async def start(self) -> None:
        """Connect. Called once, before anything else. It must not write: `chatrack check` calls it too.

        With several workers it is also called, and `stop` after it, in the process that they are forked from: no thread may
        outlive the two.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect. Called once, after everything else."""

    @abstractmethod
    async def health(self) -> None:
        """Check that the files can be reached.

        Raises:
            Unavailable: they cannot.
        """

    @abstractmethod
    async def put(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        """Store a file, in place of the one that is there.

        It is stored as a whole or not at all: if `chunks` raises or the caller is cancelled, what was there stays, and nothing
        else is left behind. No more than a few chunks are kept in memory.

        Args:
            key: the key.
            chunks: its bytes, in pieces of any size.
            content_type: what a URL of the file store itself serves it as.

        Returns:
            Its size in bytes.

        Raises:
            Unavailable: it cannot be stored right now.
        """

    @abstractmethod
    def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file, in pieces that fit into memory.

        Args:
            key: the key.
            start: the first byte.
            end: the byte after the last one; the end of the file if None, or if it is shorter.

        Raises:
            NotFound: there is no such file.
            Unavailable: it cannot be read, or not to its end.
        """

    @abstractmethod
    async def stat(self, key: str) -> StoredFile:
        """Return what is known about a file.

        Raises:
            NotFound: there is no such file.
            Unavailable: the files cannot be reached.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete a file. If there is none, nothing happens.

        Raises:
            Unavailable: it cannot be deleted right now.
        """

    @abstractmethod
    def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield all files whose keys begin with a prefix, in any order.

        Args:
            prefix: the prefix; it ends with `/`.

        Raises:
            Unavailable: they cannot be listed, or not to the end.
        """

    async def copy(self, source: str, target: str, *, content_type: str) -> int:
        """Copy a file, in place of the one that is there, as `put` does. By default its bytes pass through this process.

        Args:
            source: the key to copy from.
            target: the key to copy to.
            content_type: what a URL of the file store itself serves the copy as.

        Returns:
            Its size in bytes.

        Raises:
            NotFound: there is no file at `source`.
            Unavailable: it cannot be copied right now.
        """
        return await self.put(target, self.read(source), content_type=content_type)

    async def upload_target(self, key: str, *, content_type: str, expires_in: int) -> UploadTarget | None:
        """Return where a client may send a file to directly; None if it has to send it to this server.

        Args:
            key: the key.
            content_type: the type that the client says it has.
            expires_in: the seconds until the target expires.
        """
        return None

    async def download_url(self, key: str, *, expires_in: int) -> str | None:
        """Return a URL of the file store itself that serves a file; None if there is none.

        Args:
            key: the key.
            expires_in: the seconds until the URL expires.
        """
        return None
