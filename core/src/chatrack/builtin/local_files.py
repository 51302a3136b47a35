"""`local_files`: files in a folder of this machine."""

import asyncio
import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import chatrack
from chatrack import FileStore, NotFound, StoredFile, Unavailable, hookimpl

T = TypeVar("T")

_MISSING = "There is no such file."

CHUNK = 256 * 1024
"""The size of the pieces in which files are read, in bytes."""

_UNFINISHED = "~unfinished-"
"""What the name of a file begins with until all of it is there. No key has a `~`."""

_KEY = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")

_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors of opening what does not exist, or is a folder, or would be in a folder that is a file."""


class LocalFilesPlugin:
    """Keeps files in a folder; for one machine, with any number of processes on it."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.local_files]`."""

        directory: Path = Path("data/files")
        """The folder; it is created."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.directory

    @hookimpl
    def file_store(self) -> FileStore:
        """Return the store over the folder."""
        return LocalFiles(self._directory)


class LocalFiles(FileStore):
    """A folder of files. Everything that waits for the disk runs in threads.

    Args:
        directory: the folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    async def health(self) -> None:
        await self._run(self._check)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        unfinished = _Unfinished(self._path(key))
        size = 0
        try:
            await self._run(unfinished.open)
            async for chunk in chunks:
                await self._run(partial(unfinished.write, chunk))
                size += len(chunk)
            await self._run(unfinished.publish)
        finally:
            unfinished.discard()
        return size

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        path = self._path(key)
        # The thread may open it after the caller was cancelled.
        with contextlib.ExitStack() as opened:
            stream = await self._run(lambda: opened.enter_context(path.open("rb", buffering=0)), reading=True)
            left = None if end is None else max(0, end - start)
            await self._run(partial(stream.seek, start))
            while left is None or left:
                size = CHUNK if left is None else min(CHUNK, left)
                chunk = await self._run(partial(stream.read, size))
                if not chunk:
                    return
                if left is not None:
                    left -= len(chunk)
                yield chunk

    async def stat(self, key: str) -> StoredFile:
        found = await self._run(self._path(key).stat, reading=True)
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(_MISSING)
        return StoredFile(key=key, size=found.st_size, modified_at=found.st_mtime_ns // 1000)

    async def delete(self, key: str) -> None:
        await self._run(partial(_unlink, self._path(key)))

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        folders = [self._path(prefix.removesuffix("/"))]
        while folders:
            found, below = await self._run(partial(self._entries, folders.pop()))
            folders += below
            for file in found:
                yield file

    def _entries(self, folder: Path) -> tuple[Sequence[StoredFile], Sequence[Path]]:
        found, folders = [], []
        with contextlib.suppress(*_NO_FILE), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(_UNFINISHED):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    continue
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    status = entry.stat(follow_symlinks=False)
                    key = Path(entry.path).relative_to(self._directory).as_posix()
                    found.append(
                        StoredFile(key=key, size=status.st_size, modified_at=status.st_mtime_ns // 1000)
                    )
        return found, folders

    def _check(self) -> None:
        """Raise an `OSError` if nothing can be stored. The folder need not be there yet."""
        folder = next(
            path for path in (self._directory, *self._directory.absolute().parents) if path.exists()
        )
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise ValueError(f"not a key of a file: {key!r}")
        return self._directory / key

    async def _run(self, work: Callable[[], T], *, reading: bool = False) -> T:
        """Run something that waits for the disk in a thread.

        Args:
            work: what to run.
            reading: whether there may be no such file.

        Raises:
            NotFound: there is no such file.
            Unavailable: the disk is full, or the folder cannot be used.
        """
        thread = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            await asyncio.wait([thread])
        except asyncio.CancelledError:
            # Until the thread is done, it uses the file that is cleaned up next.
            while not thread.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([thread])
            thread.exception()  # seen
            raise
        try:
            return thread.result()
        except OSError as error:
            if reading and isinstance(error, _NO_FILE):
                raise NotFound(_MISSING) from error
            raise Unavailable("Files cannot be stored or read right now.", retry_after=30) from error


def _unlink(path: Path) -> None:
    """Delete a file, if there is one."""
    if not path.is_dir():
        with contextlib.suppress(*_NO_FILE):
            path.unlink()


class _Unfinished:
    """A file that is being written, beside the one whose place it will take.

    Args:
        path: that place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        self._stream: BinaryIO | None = None

    def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._temporary.open("xb")

    def write(self, chunk: bytes) -> None:
        assert self._stream is not None
        self._stream.write(chunk)

    def publish(self) -> None:
        """Put the file in its place, so that it is still there after a power cut."""
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Delete what was written, unless it was published."""
        if self._stream is None:
            return
        with contextlib.suppress(OSError):  # what is not written yet may find no space
            self._stream.close()
        self._temporary.unlink(missing_ok=True)
