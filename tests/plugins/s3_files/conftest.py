"""Fixtures of the tests of `s3_files`: a server of moto, which is S3 in memory."""

import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatrack import Secret
from chatrack_s3_files import S3Files, S3FilesPlugin
from tests.plugins.s3_files.services import Refusing, Service, refusing

_NUMBERS = itertools.count(1)

ACCESS_KEY = "AKIA-never-to-be-seen"
SECRET_KEY = "s3cr3t-never-to-be-seen"


class Moto(Service):
    """A server of moto. It forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"], folder)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, which need not be signed."""
        with httpx.Client(trust_env=False, base_url=self.url, timeout=60) as http:
            response = http.request(method, path, **options)
        response.raise_for_status()
        return response

    def new_bucket(self, name: str | None = None) -> str:
        """Make a bucket, and return its name."""
        name = name or f"bucket-{next(_NUMBERS)}"
        self.request("PUT", f"/{name}")
        return name

    def names(self, bucket: str) -> set[str]:
        """Return the names of all objects in a bucket."""
        listing = self.request("GET", f"/{bucket}?list-type=2").text
        return {part.partition("</Key>")[0] for part in listing.split("<Key>")[1:]}

    def unfinished_uploads(self, bucket: str) -> int:
        """Return the number of uploads in parts that have neither ended nor been aborted."""
        return self.request("GET", f"/{bucket}?uploads").text.count("<UploadId>")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """The server of this worker."""
    server = Moto(tmp_path_factory.mktemp("moto"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_moto(tmp_path: Path) -> Iterator[Moto]:
    """A server that the test may stop."""
    server = Moto(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def refusing_service() -> Iterator[Refusing]:
    """A service that refuses everything."""
    with refusing() as service:
        yield service


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the tester's environment lead to a cloud."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT_URL", "REGION", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., S3Files]]:
    """Return stores over a service, by its URL and settings; they are stopped in the end."""
    stores = []

    def open_store(url: str | None, bucket: str = "bucket", **settings: Any) -> S3Files:
        keys = {"access_key": Secret(ACCESS_KEY), "secret_key": Secret(SECRET_KEY)}
        store = S3FilesPlugin(
            S3FilesPlugin.Settings(bucket=bucket, endpoint_url=url, **{**keys, **settings})
        ).file_store()
        assert isinstance(store, S3Files)
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        await store.stop()
