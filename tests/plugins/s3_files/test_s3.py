"""What is special about files in S3: prefixes, parts, signed URLs, and a service that is away."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from chatrack import NotFound, Unavailable
from chatrack.testing.stored_files import (
    BrokenSource,
    breaking_after,
    content_of,
    in_chunks,
    keys_below,
    pattern,
    put,
)
from chatrack_s3_files import objects
from tests.plugins.s3_files.conftest import ACCESS_KEY, SECRET_KEY
from tests.plugins.s3_files.services import told
from tests.support.waiting import LIMIT, PROCESS_LIMIT

LARGE = 12 * 1024 * 1024

FORKED = """
import asyncio, os, sys
from chatrack import Secret
from chatrack.testing.stored_files import content_of, put
from chatrack_s3_files import S3FilesPlugin

settings = S3FilesPlugin.Settings(
    bucket=sys.argv[2], endpoint_url=sys.argv[1], access_key=Secret("key"), secret_key=Secret("secret")
)

async def started():
    store = S3FilesPlugin(settings).file_store()
    await store.start()
    await store.stop()

async def used():
    store = S3FilesPlugin(settings).file_store()
    await store.start()
    await put(store, "files/one", b"data")
    assert await content_of(store, "files/one") == b"data"
    await store.stop()

asyncio.run(started())
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        asyncio.run(used())
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


async def every_request(store):
    """Return the outcome of each method, by its name; None if it has succeeded."""

    async def reading():
        return await content_of(store, "files/one")

    calls = {
        "health": store.health,
        "put": lambda: put(store, "files/one", b"data"),
        "put large": lambda: put(store, "files/one", pattern(LARGE)),
        "read": reading,
        "stat": lambda: store.stat("files/one"),
        "delete": lambda: store.delete("files/one"),
        "list": lambda: keys_below(store, "files/"),
        "copy": lambda: store.copy("files/one", "files/two", content_type="text/plain"),
    }
    outcomes = {}
    for name, call in calls.items():
        try:
            await call()
        except Exception as error:  # noqa: BLE001  (whatever it is, the test names it)
            outcomes[name] = error
        else:
            outcomes[name] = None
    return outcomes


def assert_unavailable(outcomes):
    for name, error in outcomes.items():
        assert type(error) is Unavailable, f"{name}: {error!r}"
        assert error.retry_after


async def test_prefixes_keep_files_apart(moto, opened):
    bucket = moto.new_bucket()
    stores = {prefix: opened(moto.url, bucket, prefix=prefix) for prefix in ("", "a", "a/b/", "ab")}
    for prefix, store in stores.items():
        await put(store, "files/one", prefix.encode())
    assert moto.names(bucket) == {"files/one", "a/files/one", "a/b/files/one", "ab/files/one"}
    for prefix, store in stores.items():
        assert await content_of(store, "files/one") == prefix.encode()
        assert await keys_below(store, "files/") == ["files/one"]
    await stores["a"].delete("files/one")
    assert moto.names(bucket) == {"files/one", "a/b/files/one", "ab/files/one"}


@pytest.mark.parametrize("size", [0, 1000, LARGE])
async def test_an_object_has_the_type_of_its_file(moto, opened, size):
    store = opened(moto.url, moto.new_bucket())
    await put(store, "files/one", pattern(size), content_type="image/webp")
    await store.copy("files/one", "files/two", content_type="image/png")
    target = await store.upload_target("files/three", content_type="image/gif", expires_in=60)
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.request(target.method, target.url, headers=dict(target.headers), content=b"data")
        for name, expected in (("one", "image/webp"), ("two", "image/png"), ("three", "image/gif")):
            response = await http.get(await store.download_url(f"files/{name}", expires_in=60))
            assert response.headers["Content-Type"] == expected


async def test_a_file_that_fails_leaves_no_parts(moto, opened):
    bucket = moto.new_bucket()
    store = opened(moto.url, bucket)
    seen = []

    async def chunks():
        async for chunk in in_chunks(pattern(LARGE)):
            yield chunk
        seen.append(moto.unfinished_uploads(bucket))
        raise BrokenSource

    with pytest.raises(BrokenSource):
        await store.put("files/one", chunks(), content_type="text/plain")
    assert seen == [1]
    assert moto.unfinished_uploads(bucket) == 0
    assert moto.names(bucket) == set()


async def test_a_cancelled_file_leaves_no_parts(moto, opened):
    bucket = moto.new_bucket()
    store = opened(moto.url, bucket)
    for count in (0, 30, 60, 100):
        waiting = asyncio.Event()

        async def chunks(count=count, waiting=waiting):
            for number in range(count):
                yield pattern(100_000, number)
            waiting.set()
            for number in range(count):
                yield pattern(100_000, number)
            await asyncio.Event().wait()

        task = asyncio.ensure_future(store.put("files/one", chunks(), content_type="text/plain"))
        await waiting.wait()
        task.cancel()
        await asyncio.wait([task], timeout=LIMIT)
        assert task.cancelled()
    assert moto.unfinished_uploads(bucket) == 0
    assert moto.names(bucket) == set()


async def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(moto, opened):
    store = opened(moto.url, moto.new_bucket())
    await put(store, "files/one", pattern(3 * objects.PIECE, 1))
    reading = store.read("files/one")
    assert await anext(reading) == pattern(3 * objects.PIECE, 1)[: objects.PIECE]
    await put(store, "files/one", pattern(3 * objects.PIECE, 2))
    with pytest.raises(Unavailable):
        await anext(reading)


async def test_urls_are_signed_for_where_clients_reach_the_service(moto, opened):
    bucket = moto.new_bucket()
    public = f"http://localhost:{moto.port}"
    store = opened(moto.url, bucket, public_endpoint_url=public, prefix="mine")
    await put(store, "files/one", b"data")
    url = await store.download_url("files/one", expires_in=60)
    target = await store.upload_target("files/two", content_type="text/plain", expires_in=30 * 86400)
    for signed, seconds in ((url, 60), (target.url, 7 * 86400)):
        assert signed.startswith(f"{public}/{bucket}/mine/files/")
        assert SECRET_KEY not in signed
        assert parse_qs(urlsplit(signed).query)["X-Amz-Expires"] == [str(seconds)]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).content == b"data"


async def test_a_bucket_that_does_not_exist_is_unavailable_and_named(moto, opened):
    store = opened(moto.url, "no-such-bucket")
    await store.start()
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        await store.health()
    for size in (10, LARGE):
        with pytest.raises(Unavailable, match="NoSuchBucket"):
            await put(store, "files/one", pattern(size))
    with pytest.raises(NotFound):
        await store.stat("files/one")


async def test_starting_sends_nothing(refusing_service, opened):
    store = opened(refusing_service.url)
    await store.start()
    await store.stop()
    assert refusing_service.requests == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (401, "Unauthorized"),
        (403, "SignatureDoesNotMatch"),
        (409, "Conflict"),
        (429, "SlowDown"),
        (500, "InternalError"),
        (503, "SlowDown"),
    ],
)
async def test_what_the_service_refuses_is_unavailable_without_a_secret(
    refusing_service, opened, status, code
):
    refusing_service.status = status
    refusing_service.body = f"<Error><Code>{code}</Code><Message>{SECRET_KEY}</Message><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId></Error>"
    outcomes = await every_request(opened(refusing_service.url))
    assert_unavailable(outcomes)
    for error in outcomes.values():
        assert f"HTTP {status}" in error.detail
        for secret in (SECRET_KEY, ACCESS_KEY, "Signature="):
            assert secret not in told(error)
    assert refusing_service.requests


async def test_a_service_that_answers_nonsense_is_unavailable(refusing_service, opened):
    refusing_service.status, refusing_service.body = 200, "<nonsense>"
    outcomes = await every_request(opened(refusing_service.url))
    for name in ("health", "list", "put large", "read"):
        assert type(outcomes[name]) is Unavailable, f"{name}: {outcomes[name]!r}"


async def test_a_service_that_is_away_is_unavailable_until_it_is_back(own_moto, opened):
    bucket = own_moto.new_bucket()
    store = opened(own_moto.url, bucket)
    await put(store, "files/one", b"data")
    own_moto.stop()
    outcomes = await every_request(store)
    assert_unavailable(outcomes)
    details = {name: error.detail for name, error in outcomes.items()}
    assert all("no connection" in detail for detail in details.values()), details
    own_moto.start()
    own_moto.new_bucket(bucket)
    assert set((await every_request(store)).values()) >= {None}
    await store.health()
    await put(store, "files/one", b"data")
    assert await content_of(store, "files/one") == b"data"


async def test_a_service_that_goes_away_in_the_middle_is_unavailable(own_moto, opened):
    bucket = own_moto.new_bucket()
    store = opened(own_moto.url, bucket)
    await put(store, "files/one", pattern(3 * objects.PIECE))
    reading = store.read("files/one")
    await anext(reading)

    async def chunks():
        yield pattern(LARGE)
        own_moto.stop()
        yield pattern(LARGE)

    with pytest.raises(Unavailable):
        await store.put("files/two", chunks(), content_type="text/plain")
    with pytest.raises(Unavailable):
        await anext(reading)


@pytest.mark.long
async def test_a_service_that_does_not_answer_is_unavailable(own_moto, opened, monkeypatch):
    monkeypatch.setattr(objects, "ANSWER", 0.5)
    monkeypatch.setitem(objects.CLIENT, "timeout", timedelta(seconds=1))
    monkeypatch.setitem(objects.RETRIES, "retry_timeout", timedelta(seconds=0))
    store = opened(own_moto.url, own_moto.new_bucket())
    await store.health()
    own_moto.pause()
    assert_unavailable(await every_request(store))
    own_moto.resume()
    await store.health()


async def test_a_request_that_never_ends_is_given_up(own_moto, opened, monkeypatch):
    monkeypatch.setattr(objects, "GIVE_UP", 0.5)
    store = opened(own_moto.url, own_moto.new_bucket())
    own_moto.pause()
    with pytest.raises(Unavailable):
        await put(store, "files/one", b"data")
    own_moto.resume()


async def test_credentials_of_the_environment_are_used_where_the_settings_have_none(
    refusing_service, opened, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token of the environment")
    store = opened(refusing_service.url, access_key=None, secret_key=None)
    with pytest.raises(Unavailable):
        await store.health()
    assert "Credential=AKIAENVIRONMENT/" in refusing_service.requests[-1]["authorization"]
    assert refusing_service.requests[-1]["x-amz-security-token"] == "token of the environment"


async def test_credentials_of_the_settings_are_not_mixed_with_those_of_the_environment(
    refusing_service, opened, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token of the environment")
    with pytest.raises(Unavailable):
        await opened(refusing_service.url).health()
    assert f"Credential={ACCESS_KEY}/" in refusing_service.requests[-1]["authorization"]
    assert "x-amz-security-token" not in refusing_service.requests[-1]


async def test_chunks_that_fail_to_arrive_are_not_blamed_on_the_service(moto, opened):
    async def chunks():
        yield b"data"
        raise OSError("the disk of the caller")

    with pytest.raises(OSError, match="the disk of the caller"):
        await opened(moto.url, moto.new_bucket()).put("files/one", chunks(), content_type="text/plain")


@pytest.mark.parametrize(
    "key", ["", "/", "a//b", "/a", "a/", ".", "..", "a/../b", "../a", "a b", "ä", "a\n", "a%2fb"]
)
async def test_what_is_no_key_is_refused(refusing_service, opened, key):
    store = opened(refusing_service.url, prefix="mine")
    calls = [put(store, key, b"data"), content_of(store, key), store.stat(key), store.delete(key)]
    calls += [
        store.download_url(key, expires_in=9),
        store.upload_target(key, content_type="a/b", expires_in=9),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="not a key"):
            await call
    assert refusing_service.requests == []


def test_processes_that_are_forked_after_a_start_can_use_it(moto):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, moto.url, moto.new_bucket()],
        timeout=PROCESS_LIMIT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_a_broken_put_with_a_service_that_is_away_raises_what_the_chunks_raised(
    refusing_service, opened
):
    refusing_service.status = 500
    with pytest.raises(BrokenSource):
        await opened(refusing_service.url).put("files/one", breaking_after(b"x"), content_type="text/plain")
