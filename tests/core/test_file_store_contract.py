"""The contract of file stores over a folder, and what is special about files in one."""

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chatrack import FileStore, Unavailable
from chatrack.assembly import assemble
from chatrack.builtin.local_files import LocalFiles
from chatrack.testing import FileStoreContract
from chatrack.testing.stored_files import (
    BrokenSource,
    assert_missing,
    breaking_after,
    content_of,
    in_chunks,
    keys_below,
    put,
)
from tests.support.contracts import run_contract

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from chatrack.builtin.local_files import LocalFiles

async def chunks():
    yield b"half of it" * 1000
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(LocalFiles(Path(sys.argv[1])).put("files/one", chunks(), content_type="text/plain"))
"""


@pytest.fixture
async def file_store(tmp_path: Path) -> AsyncIterator[FileStore]:
    store = LocalFiles(tmp_path / "files")
    await store.start()
    yield store
    await store.stop()


class TestOverAFolder(FileStoreContract):
    pass


def files_in(folder: Path) -> set[str]:
    """Return the names of all files in a folder and below."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file of more bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_the_plugin_makes_a_store_over_the_folder_of_its_settings(write_config):
    path = write_config(
        'enabled = ["sqlite_store", "demo_provider", "local_files"]\n[chat]\nmodel = "demo"\n'
        '[plugins.local_files]\ndirectory = "attachments"\n'
    )
    store = assemble(path, environ={}).file_store.value
    await put(store, "files/one", b"data")
    assert files_in(path.parent / "attachments") == {"files/one"}


@pytest.mark.parametrize("before", [None, b"as it was"])
async def test_what_a_killed_put_leaves_is_no_file(file_store, tmp_path, before):
    if before is not None:
        await put(file_store, "files/one", before)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path / "files"))
    assert await process.wait() == -signal.SIGKILL
    if before is None:
        await assert_missing(file_store, "files/one")
        assert await keys_below(file_store, "files/") == []
    else:
        assert await content_of(file_store, "files/one") == before
        assert await keys_below(file_store, "files/") == ["files/one"]


async def test_what_fails_leaves_no_other_file_either(file_store, tmp_path):
    with pytest.raises(BrokenSource):
        await file_store.put("a/one", breaking_after(b"x" * 1000), content_type="text/plain")
    assert files_in(tmp_path) == set()


async def test_a_disk_without_space_is_unavailable_and_nothing_is_left(file_store, tmp_path):
    await put(file_store, "a/one", b"as it was")
    with largest_file(50_000), pytest.raises(Unavailable) as caught:
        await file_store.put("a/one", in_chunks(b"x" * 200_000, 20_000), content_type="text/plain")
    assert caught.value.retry_after
    assert files_in(tmp_path / "files") == {"a/one"}
    assert await content_of(file_store, "a/one") == b"as it was"
    await put(file_store, "a/one", b"x" * 200_000)


@pytest.fixture(params=["a file", "kernel"])
def unusable(request, tmp_path) -> Path:
    """A folder that nobody can write, not even root."""
    if request.param == "kernel":
        return Path("/proc/files")
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "file" / "files"


async def test_a_folder_that_cannot_be_written_is_unavailable(unusable):
    store = LocalFiles(unusable)
    await store.start()
    with pytest.raises(Unavailable):
        await put(store, "a/one", b"data")
    await assert_missing(store, "a/one")


async def test_a_folder_that_is_a_file_is_not_healthy(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for directory in (tmp_path / "file", tmp_path / "file" / "files"):
        with pytest.raises(Unavailable):
            await LocalFiles(directory).health()


async def test_the_folder_is_made_by_the_first_file_and_not_by_starting(tmp_path):
    store = LocalFiles(tmp_path / "some" / "where")
    await store.start()
    await store.health()
    assert await keys_below(store, "a/") == []
    assert list(tmp_path.iterdir()) == []
    await put(store, "a/one", b"data")
    assert files_in(tmp_path) == {"some/where/a/one"}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a//b",
        "/a",
        "a/",
        ".",
        "..",
        "a/../b",
        "../a",
        "a/.",
        "a b",
        "ä",
        "a\\b",
        "a\n",
        "~a",
        "a\0b",
    ],
)
async def test_what_is_no_key_is_refused(file_store, tmp_path, key):
    with pytest.raises(ValueError, match="not a key"):
        await put(file_store, key, b"data")
    with pytest.raises(ValueError, match="not a key"):
        await content_of(file_store, key)
    with pytest.raises(ValueError, match="not a key"):
        await file_store.stat(key)
    with pytest.raises(ValueError, match="not a key"):
        await file_store.delete(key)
    assert files_in(tmp_path) == set()


OUTLINE = """
import contextlib
import pytest_asyncio
from chatrack import StoredFile
from chatrack.builtin.local_files import LocalFiles
from chatrack.testing import FileStoreContract

@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def file_store(request, tmp_path_factory):
    store = request.cls.kind(tmp_path_factory.mktemp("files"))
    await store.start()
    yield store
    await store.stop()

class TestSound(FileStoreContract, loop_scope="class"):
    kind = LocalFiles
"""

BROKEN = {
    "Partial": (
        """
    async def put(self, key, chunks, *, content_type):
        data = b""
        try:
            async for chunk in chunks:
                data += chunk
        finally:
            async def stored():
                yield data
            await super().put(key, stored(), content_type=content_type)
        return len(data)
""",
        {
            "test_a_file_whose_chunks_fail_leaves_nothing[False]",
            "test_a_file_whose_chunks_fail_leaves_the_one_that_was_there[True]",
            "test_a_cancelled_put_leaves_what_was_there[None-False]",
            "test_a_cancelled_put_leaves_what_was_there[as it was-True]",
        },
    ),
    "Lists": (
        """
    async def list(self, prefix):
        async for file in super().list(prefix.split("/")[0]):
            if file.key.startswith(prefix.removesuffix("/")):
                yield file
""",
        {"test_files_are_listed_by_the_beginning_of_their_keys"},
    ),
    "Reads": (
        """
    async def read(self, key, *, start=0, end=None):
        async for chunk in super().read(key, start=start):
            yield chunk
""",
        {"test_a_part_of_a_file_is_read[10-20]", "test_an_empty_part_has_no_bytes[7-7]"},
    ),
    "Forgives": (
        """
    async def stat(self, key):
        try:
            return await super().stat(key)
        except Exception:
            return StoredFile(key=key, size=0, modified_at=0)
""",
        {"test_what_does_not_exist_is_not_found", "test_a_file_can_be_deleted_again_and_again"},
    ),
    "Moves": (
        """
    async def copy(self, source, target, *, content_type):
        size = await super().copy(source, target, content_type=content_type)
        await self.delete(source)
        return size
""",
        {"test_a_copy_has_the_bytes_of_its_source"},
    ),
}
"""File stores that break the contract, and the tests that fail."""


def test_the_contract_finds_stores_that_break_it(tmp_path):
    source = OUTLINE
    chosen = ["TestSound"]
    for name, (body, fails) in BROKEN.items():
        source += f"\nclass {name}(LocalFiles):{body}\n"
        source += f'class Test{name}(FileStoreContract, loop_scope="class"):\n    kind = {name}\n'
        chosen += [f"Test{name}::{test}" for test in fails]
        chosen.append(f"Test{name}::test_a_store_that_is_started_is_alive")
    result = run_contract(tmp_path, source, chosen)
    assert not result.names("FAILED", "TestSound") | result.names("ERROR", "TestSound"), result.output[-3000:]
    assert len(result.names("PASSED", "TestSound")) > 40
    for name, (_, fails) in BROKEN.items():
        assert result.names("FAILED", f"Test{name}") == fails
        assert result.names("PASSED", f"Test{name}") == {"test_a_store_that_is_started_is_alive"}
