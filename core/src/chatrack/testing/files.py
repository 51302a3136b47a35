"""The contract of a file store, as tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from chatrack.clock import now, to_micros
from chatrack.errors import NotFound, Unavailable
from chatrack.interfaces.files import FileStore
from chatrack.testing.contract import LoopScope
from chatrack.testing.factories import TIMEOUT
from chatrack.testing.stored_files import (
    PLAIN,
    BrokenSource,
    assert_missing,
    breaking_after,
    content_of,
    in_chunks,
    keys_below,
    new_folder,
    pattern,
    put,
)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
"""The characters of a part of a key."""

KEY_LENGTH = 200
"""The length of the longest keys."""

CLOCK_SKEW = 15 * 60 * 1_000_000
"""Microseconds that the clock of a file store may be off."""


class FileStoreContract:
    """Tests that every file store has to pass.

    A subclass defines one fixture, `file_store`, which provides a started store. All tests may share one store, which
    need not be empty: each test makes keys of its own below `contract/`. The tests use only the methods of `FileStore`.

    Args:
        loop_scope: which tests share an event loop, as pytest-asyncio calls it, given with the class: `class
            TestAcmeFiles(FileStoreContract, loop_scope="module")`. A store that tests share needs their event loop.
    """

    large = 12 * 1024 * 1024
    """The size of a large file in bytes; more than the store sends at once."""

    many = 30
    """The number of files in a long list."""

    def __init_subclass__(cls, *, loop_scope: LoopScope = "function", **options: Any) -> None:
        super().__init_subclass__(**options)
        pytest.mark.asyncio(loop_scope=loop_scope)(cls)

    async def test_a_store_that_is_started_is_alive(self, file_store: FileStore) -> None:
        await file_store.health()

    @pytest.mark.parametrize("size", [0, 1, 1_000_001])
    async def test_bytes_come_back_as_they_were_put(self, file_store: FileStore, size: int) -> None:
        key, data = new_folder() + "file", pattern(size)
        assert await put(file_store, key, data) == size
        assert await content_of(file_store, key) == data
        assert (await file_store.stat(key)).size == size

    async def test_a_large_file_comes_back_as_it_was_put(self, file_store: FileStore) -> None:
        key, data = new_folder() + "file", pattern(self.large)
        assert await put(file_store, key, data) == self.large
        assert await content_of(file_store, key) == data
        middle = self.large // 2
        assert (
            await content_of(file_store, key, start=middle - 7, end=middle + 9)
            == data[middle - 7 : middle + 9]
        )
        assert (await file_store.stat(key)).size == self.large

    @pytest.mark.parametrize("sizes", [[], [0, 0], [1] * 500, [0, 3, 0, 300_000, 1, 0]])
    async def test_chunks_may_have_any_size(self, file_store: FileStore, sizes: Sequence[int]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for number, size in enumerate(sizes):
                yield pattern(size, number)

        key = new_folder() + "file"
        data = b"".join(pattern(size, number) for number, size in enumerate(sizes))
        assert await file_store.put(key, chunks(), content_type=PLAIN) == len(data)
        assert await content_of(file_store, key) == data

    async def test_a_file_takes_the_place_of_the_one_that_was_there(self, file_store: FileStore) -> None:
        folder = new_folder()
        for data in (pattern(3000, 1), pattern(10, 2), b"", pattern(500, 3)):
            await put(file_store, folder + "file", data, content_type="application/pdf")
            assert await content_of(file_store, folder + "file") == data
        assert await keys_below(file_store, folder) == [folder + "file"]

    @pytest.mark.parametrize("large", [False, True])
    async def test_a_file_whose_chunks_fail_leaves_nothing(self, file_store: FileStore, large: bool) -> None:
        folder, size = new_folder(), self.large if large else 1000
        with pytest.raises(BrokenSource):
            await file_store.put(folder + "new", breaking_after(pattern(size)), content_type=PLAIN)
        await assert_missing(file_store, folder + "new")
        assert await keys_below(file_store, folder) == []

    @pytest.mark.parametrize("large", [False, True])
    async def test_a_file_whose_chunks_fail_leaves_the_one_that_was_there(
        self, file_store: FileStore, large: bool
    ) -> None:
        folder, size = new_folder(), self.large if large else 1000
        await put(file_store, folder + "old", b"as it was")
        with pytest.raises(BrokenSource):
            await file_store.put(folder + "old", breaking_after(pattern(size)), content_type=PLAIN)
        assert await content_of(file_store, folder + "old") == b"as it was"
        assert await keys_below(file_store, folder) == [folder + "old"]

    @pytest.mark.parametrize("large", [False, True])
    @pytest.mark.parametrize("before", [None, b"as it was"])
    async def test_a_cancelled_put_leaves_what_was_there(
        self, file_store: FileStore, large: bool, before: bytes | None
    ) -> None:
        folder, size = new_folder(), self.large if large else 1000
        key, is_waiting = folder + "file", asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in in_chunks(pattern(size)):
                yield chunk
            is_waiting.set()
            await asyncio.Event().wait()

        if before is not None:
            await put(file_store, key, before)
        task = asyncio.ensure_future(file_store.put(key, chunks(), content_type=PLAIN))
        async with asyncio.timeout(TIMEOUT):
            await is_waiting.wait()
        task.cancel()
        finished, _ = await asyncio.wait([task], timeout=TIMEOUT)
        assert finished, "a cancelled put did not return"
        assert task.cancelled()
        if before is None:
            await assert_missing(file_store, key)
            assert await keys_below(file_store, folder) == []
        else:
            assert await content_of(file_store, key) == before
            assert await keys_below(file_store, folder) == [key]

    @pytest.mark.parametrize("steps", [0, 1, 3, 10])
    async def test_a_put_that_is_cancelled_at_once_is_whole_or_not_at_all(
        self, file_store: FileStore, steps: int
    ) -> None:
        key, data = new_folder() + "file", pattern(200_000)
        task = asyncio.ensure_future(put(file_store, key, data))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        finished, _ = await asyncio.wait([task], timeout=TIMEOUT)
        assert finished, "a cancelled put did not return"
        try:
            assert await content_of(file_store, key) == data
        except NotFound:
            assert task.cancelled()

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (0, None),
            (0, 1),
            (10, 20),
            (999, None),
            (0, 1000),
            (500, 5000),
            (1000, None),
            (2000, None),
            (2000, 3000),
        ],
    )
    async def test_a_part_of_a_file_is_read(self, file_store: FileStore, start: int, end: int | None) -> None:
        key, data = new_folder() + "file", pattern(1000)
        await put(file_store, key, data)
        assert await content_of(file_store, key, start=start, end=end) == data[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, 0), (7, 7), (7, 3), (1000, 1000)])
    async def test_an_empty_part_has_no_bytes(self, file_store: FileStore, start: int, end: int) -> None:
        key = new_folder() + "file"
        await put(file_store, key, pattern(1000))
        assert await content_of(file_store, key, start=start, end=end) == b""

    async def test_what_does_not_exist_is_not_found(self, file_store: FileStore) -> None:
        folder = new_folder()
        await assert_missing(file_store, folder + "missing")
        with pytest.raises(NotFound):
            await file_store.copy(folder + "missing", folder + "copy", content_type=PLAIN)
        with pytest.raises(NotFound):
            await content_of(file_store, folder + "missing", start=3, end=3)
        assert await keys_below(file_store, folder) == []

    async def test_the_beginning_of_a_key_is_no_file(self, file_store: FileStore) -> None:
        folder = new_folder()
        await put(file_store, folder + "a/b/c", b"kept")
        await assert_missing(file_store, folder + "a/b")
        await assert_missing(file_store, folder + "a/b/c/d")
        await file_store.delete(folder + "a/b")
        await file_store.delete(folder + "a/b/c/d")
        assert await keys_below(file_store, folder + "a/b/c/") == []
        assert await content_of(file_store, folder + "a/b/c") == b"kept"

    async def test_readers_that_stop_early_leave_nothing_open(self, file_store: FileStore) -> None:
        key, data = new_folder() + "file", pattern(self.large)
        await put(file_store, key, data)
        before = asyncio.all_tasks()
        for _ in range(10):
            reading = file_store.read(key)
            assert data.startswith(await anext(reading))
            await reading.aclose()
        assert asyncio.all_tasks() <= before
        await put(file_store, key, b"replaced")
        assert await content_of(file_store, key) == b"replaced"
        await file_store.delete(key)
        await assert_missing(file_store, key)

    async def test_cancelled_readers_leave_nothing_open(self, file_store: FileStore) -> None:
        key, data = new_folder() + "file", pattern(self.large)
        await put(file_store, key, data)
        for steps in (0, 1, 2, 4, 8, 16):
            task = asyncio.ensure_future(content_of(file_store, key))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            finished, _ = await asyncio.wait([task], timeout=TIMEOUT)
            assert finished, "a cancelled reader did not return"
        assert await content_of(file_store, key) == data

    async def test_stat_says_when_a_file_was_stored(self, file_store: FileStore) -> None:
        key = new_folder() + "file"
        before = to_micros(now()) - CLOCK_SKEW
        await put(file_store, key, pattern(321))
        found = await file_store.stat(key)
        assert (found.key, found.size) == (key, 321)
        assert before <= found.modified_at <= to_micros(now()) + CLOCK_SKEW

    async def test_a_file_can_be_deleted_again_and_again(self, file_store: FileStore) -> None:
        folder = new_folder()
        for name in ("one", "two"):
            await put(file_store, folder + name, b"data")
        for _ in range(2):
            await file_store.delete(folder + "one")
            await assert_missing(file_store, folder + "one")
        assert await keys_below(file_store, folder) == [folder + "two"]
        assert await content_of(file_store, folder + "two") == b"data"

    async def test_files_are_listed_by_the_beginning_of_their_keys(self, file_store: FileStore) -> None:
        folder = new_folder()
        keys = [folder + name for name in ("a/1", "a/b/2", "a/b/c/3", "a.b/4", "ab/5", "a-/6", "b/a/7")]
        await asyncio.gather(*(put(file_store, key, pattern(len(key))) for key in keys))
        assert await keys_below(file_store, folder + "a/") == sorted(keys[:3])
        assert await keys_below(file_store, folder + "a/b/") == sorted(keys[1:3])
        assert await keys_below(file_store, folder) == sorted(keys)
        assert await keys_below(file_store, folder + "c/") == []
        async for file in file_store.list(folder):
            assert file == await file_store.stat(file.key)

    async def test_a_long_list_is_complete(self, file_store: FileStore) -> None:
        folder = new_folder()
        keys = sorted(f"{folder}{number % 3}/{number:05}" for number in range(self.many))
        for start in range(0, self.many, 10):
            await asyncio.gather(*(put(file_store, key, b"x") for key in keys[start : start + 10]))
        assert await keys_below(file_store, folder) == keys

    async def test_a_copy_has_the_bytes_of_its_source(self, file_store: FileStore) -> None:
        folder, data = new_folder(), pattern(100_000)
        await put(file_store, folder + "source", data)
        await put(file_store, folder + "target", b"to be replaced")
        for target in ("target", "other/target", "source"):
            size = await file_store.copy(folder + "source", folder + target, content_type="image/png")
            assert size == len(data)
            assert await content_of(file_store, folder + target) == data
            assert await content_of(file_store, folder + "source") == data
        assert len(await keys_below(file_store, folder)) == 3

    async def test_a_large_file_is_copied(self, file_store: FileStore) -> None:
        folder, data = new_folder(), pattern(self.large, 5)
        await put(file_store, folder + "source", data)
        assert await file_store.copy(folder + "source", folder + "target", content_type=PLAIN) == self.large
        assert await content_of(file_store, folder + "target") == data

    @pytest.mark.parametrize("large", [False, True])
    async def test_of_puts_at_the_same_time_one_is_whole(self, file_store: FileStore, large: bool) -> None:
        key, size = new_folder() + "file", self.large if large else 70_000
        contents = [pattern(size + number, number) for number in range(2 if large else 6)]
        puts = [put(file_store, key, data) for data in contents]
        # A store may refuse all but one of them.
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert not [result for result in results if not isinstance(result, int | Unavailable)]
        stored = [data for data, result in zip(contents, results, strict=True) if result == len(data)]
        assert stored
        assert await content_of(file_store, key) in contents

    async def test_keys_may_be_long_and_have_all_characters(self, file_store: FileStore) -> None:
        folder = new_folder()
        names = [ALPHABET, *ALPHABET.strip("."), "...", "a..b", "-x", f"nested/{ALPHABET}/z"]
        names += ["x" * (KEY_LENGTH - len(folder)), "/yy" * KEY_LENGTH]
        keys = sorted((folder + name.strip("/"))[:KEY_LENGTH].rstrip("/") for name in names)
        assert max(map(len, keys)) == KEY_LENGTH
        await asyncio.gather(*(put(file_store, key, key.encode()) for key in keys))
        assert await keys_below(file_store, folder) == keys
        for key in keys:
            assert await content_of(file_store, key) == key.encode()

    @pytest.mark.parametrize("size", [0, 5000])
    async def test_a_client_uploads_what_it_was_told_to(self, file_store: FileStore, size: int) -> None:
        folder, data = new_folder(), pattern(size)
        target = await file_store.upload_target(folder + "file", content_type="image/png", expires_in=300)
        if target is None:
            return
        await assert_missing(file_store, folder + "file")
        async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
            response = await http.request(
                target.method, target.url, headers=dict(target.headers), content=data
            )
        assert response.is_success, response.text
        assert await content_of(file_store, folder + "file") == data
        assert await keys_below(file_store, folder) == [folder + "file"]

    async def test_an_upload_target_is_of_one_key_only(self, file_store: FileStore) -> None:
        folder = new_folder()
        mine, other = [
            await file_store.upload_target(folder + name, content_type=PLAIN, expires_in=300)
            for name in ("mine", "other")
        ]
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert mine.url != other.url

    async def test_a_client_downloads_from_the_url_it_was_given(self, file_store: FileStore) -> None:
        key, data = new_folder() + "file", pattern(5000)
        await put(file_store, key, data, content_type="image/png")
        url = await file_store.download_url(key, expires_in=300)
        if url is None:
            return
        async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
            response = await http.get(url)
        assert response.status_code == 200, response.text
        assert response.content == data
        assert response.headers["Content-Type"] == "image/png"
