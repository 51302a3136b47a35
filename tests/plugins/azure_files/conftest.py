"""Fixtures of the tests of `azure_files`: a server of Azurite, which is Blob Storage in a folder."""

import base64
import hashlib
import hmac
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatrack import Secret
from chatrack_azure_files import AzureFiles, AzureFilesPlugin
from tests.plugins.s3_files.services import Refusing, Service, refusing
from tests.support.process import ROOT

AZURITE = ROOT / ".azurite" / "node_modules" / ".bin" / "azurite-blob"

ACCOUNT = "racktests"

KEY = base64.b64encode(b"never-to-be-seen, and sixty-four bytes long, as the keys of Azure").decode()
"""The key of the account, for Azurite and for the plugin."""

VERSION = "2021-12-02"

_NUMBERS = itertools.count(1)


class Azurite(Service):
    """A server of Azurite. It may forget everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        if not AZURITE.exists():
            pytest.skip("Azurite is not installed; `make azurite` installs it")
        options = ["--blobHost", "127.0.0.1", "--blobPort", "{port}", "--inMemoryPersistence"]
        super().__init__(
            [str(AZURITE), *options, "--silent", "--disableTelemetry", "--skipApiVersionCheck"],
            folder,
            AZURITE_ACCOUNTS=f"{ACCOUNT}:{KEY}",
        )
        self.endpoint = f"{self.url}/{ACCOUNT}"

    def request(self, method: str, path: str, query: dict[str, str]) -> httpx.Response:
        """Send a request without a body, signed with the key of the account."""
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": date, "x-ms-version": VERSION}
        signed = [method, *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
        signed += [f"/{ACCOUNT}/{ACCOUNT}/{path}", *(f"{name}:{query[name]}" for name in sorted(query))]
        digest = hmac.digest(base64.b64decode(KEY), "\n".join(signed).encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        with httpx.Client(trust_env=False, timeout=60) as http:
            response = http.request(method, f"{self.endpoint}/{path}", params=query, headers=headers)
        response.raise_for_status()
        return response

    def new_container(self, name: str | None = None) -> str:
        """Make a container, and return its name."""
        name = name or f"container-{next(_NUMBERS)}"
        self.request("PUT", name, {"restype": "container"})
        return name

    def names(self, container: str, *, uncommitted: bool = False) -> set[str]:
        """Return the names of all blobs in a container; of those that have only blocks, too, if asked for."""
        query = {"comp": "list", "restype": "container"} | (
            {"include": "uncommittedblobs"} if uncommitted else {}
        )
        return set(re.findall(r"<Name>(.*?)</Name>", self.request("GET", container, query).text))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """The server of this worker."""
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_azurite(tmp_path: Path) -> Iterator[Azurite]:
    """A server that the test may stop."""
    server = Azurite(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def refusing_service() -> Iterator[Refusing]:
    """A service that refuses everything."""
    with refusing() as service:
        yield service


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., AzureFiles]]:
    """Return stores over an account, by its URL and settings; they are stopped in the end."""
    stores = []

    def open_store(url: str, container: str = "container", **settings: Any) -> AzureFiles:
        account = {"account_name": ACCOUNT, "account_key": Secret(KEY), "endpoint_url": url}
        store = AzureFilesPlugin(
            AzureFilesPlugin.Settings(container=container, **{**account, **settings})
        ).file_store()
        assert isinstance(store, AzureFiles)
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        await store.stop()
