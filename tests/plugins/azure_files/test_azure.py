"""What is special about files in Azure: prefixes, blocks, signed URLs, and a service that is away."""

from datetime import timedelta

import httpx
import pytest

from chatrack import NotFound, Secret, Unavailable
from chatrack.testing.stored_files import BrokenSource, breaking_after, content_of, keys_below, pattern, put
from chatrack_azure_files import objects
from tests.plugins.azure_files.conftest import KEY
from tests.plugins.s3_files.services import told
from tests.plugins.s3_files.test_s3 import assert_unavailable, every_request

LARGE = 12 * 1024 * 1024


async def test_prefixes_keep_files_apart(azurite, opened):
    container = azurite.new_container()
    stores = {
        prefix: opened(azurite.endpoint, container, prefix=prefix) for prefix in ("", "a", "a/b/", "ab")
    }
    for prefix, store in stores.items():
        await put(store, "files/one", prefix.encode())
    assert azurite.names(container) == {"files/one", "a/files/one", "a/b/files/one", "ab/files/one"}
    for prefix, store in stores.items():
        assert await content_of(store, "files/one") == prefix.encode()
        assert await keys_below(store, "files/") == ["files/one"]
    await stores["a"].delete("files/one")
    assert azurite.names(container) == {"files/one", "a/b/files/one", "ab/files/one"}


@pytest.mark.parametrize("size", [0, 1000, LARGE])
async def test_a_blob_has_the_type_of_its_file(azurite, opened, size):
    store = opened(azurite.endpoint, azurite.new_container())
    await put(store, "files/one", pattern(size), content_type="image/webp")
    await store.copy("files/one", "files/two", content_type="image/png")
    target = await store.upload_target("files/three", content_type="image/gif", expires_in=60)
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.request(target.method, target.url, headers=dict(target.headers), content=b"data")
        for name, expected in (("one", "image/webp"), ("two", "image/png"), ("three", "image/gif")):
            response = await http.get(await store.download_url(f"files/{name}", expires_in=60))
            assert response.headers["Content-Type"] == expected


async def test_a_file_that_fails_leaves_no_blob(azurite, opened):
    container = azurite.new_container()
    store = opened(azurite.endpoint, container)
    with pytest.raises(BrokenSource):
        await store.put("files/one", breaking_after(pattern(LARGE)), content_type="text/plain")
    assert azurite.names(container) == set()
    assert azurite.names(container, uncommitted=True) == {"files/one"}  # Azure drops them after a week


async def test_a_url_is_for_what_it_was_signed_only(azurite, opened):
    store = opened(azurite.endpoint, azurite.new_container())
    await put(store, "files/one", b"data")
    url = await store.download_url("files/one", expires_in=60)
    assert KEY not in url
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).content == b"data"
        headers = {"x-ms-blob-type": "BlockBlob"}
        assert (await http.put(url, content=b"other", headers=headers)).status_code == 403
        assert (await http.get(url.replace("/one", "/two"))).status_code == 403
    assert await content_of(store, "files/one") == b"data"


async def test_a_container_that_does_not_exist_is_unavailable_and_named(azurite, opened):
    store = opened(azurite.endpoint, "no-such-container")
    await store.start()
    with pytest.raises(Unavailable, match="ContainerNotFound"):
        await store.health()
    for size in (10, LARGE):
        with pytest.raises(Unavailable, match="HTTP 404"):
            await put(store, "files/one", pattern(size))
    with pytest.raises(NotFound):
        await store.stat("files/one")


async def test_a_wrong_key_is_unavailable(azurite, opened):
    store = opened(azurite.endpoint, azurite.new_container(), account_key=Secret("d3Jvbmc="))
    outcomes = await every_request(store)
    assert_unavailable(outcomes)
    assert all("HTTP 403" in error.detail for error in outcomes.values()), outcomes


async def test_starting_sends_nothing(refusing_service, opened):
    store = opened(refusing_service.url)
    await store.start()
    await store.stop()
    assert refusing_service.requests == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "InvalidBlockList"), (403, "AuthenticationFailed"), (429, "X"), (503, "ServerBusy")],
)
async def test_what_the_service_refuses_is_unavailable_without_a_secret(
    refusing_service, opened, status, code
):
    refusing_service.status = status
    refusing_service.body = (
        f"<Error><Code>{code}</Code><AuthenticationErrorDetail>{KEY}</AuthenticationErrorDetail></Error>"
    )
    outcomes = await every_request(opened(refusing_service.url))
    assert_unavailable(outcomes)
    for error in outcomes.values():
        assert f"HTTP {status}" in error.detail
        for secret in (KEY, "SharedKey"):
            assert secret not in told(error)
    assert refusing_service.requests


async def test_a_service_that_is_away_is_unavailable_until_it_is_back(own_azurite, opened):
    container = own_azurite.new_container()
    store = opened(own_azurite.endpoint, container)
    await put(store, "files/one", b"data")
    own_azurite.stop()
    outcomes = await every_request(store)
    assert_unavailable(outcomes)
    assert all("no connection" in error.detail for error in outcomes.values()), outcomes
    own_azurite.start()
    own_azurite.new_container(container)
    await store.health()
    await put(store, "files/two", b"data")
    assert await content_of(store, "files/two") == b"data"


@pytest.mark.long
async def test_a_service_that_does_not_answer_is_unavailable(own_azurite, opened, monkeypatch):
    monkeypatch.setattr(objects, "ANSWER", 0.5)
    monkeypatch.setitem(objects.CLIENT, "timeout", timedelta(seconds=1))
    monkeypatch.setitem(objects.RETRIES, "retry_timeout", timedelta(seconds=0))
    store = opened(own_azurite.endpoint, own_azurite.new_container())
    await store.health()
    own_azurite.pause()
    assert_unavailable(await every_request(store))
    own_azurite.resume()
    await store.health()


@pytest.mark.parametrize("key", ["", "a//b", "/a", "..", "a/../b", "a b", "ä", "a%2fb"])
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
