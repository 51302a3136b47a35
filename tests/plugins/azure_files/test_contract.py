"""The contract of file stores over Azurite."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatrack import FileStore, Secret
from chatrack.testing import FileStoreContract
from chatrack_azure_files import AzureFilesPlugin
from tests.plugins.azure_files.conftest import ACCOUNT, KEY


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", "chatrack/files"])
async def file_store(request: pytest.FixtureRequest, azurite) -> AsyncIterator[FileStore]:
    settings = AzureFilesPlugin.Settings(
        container=azurite.new_container(),
        connection_string=Secret(f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azurite.endpoint};"),
        prefix=request.param,
    )
    store = AzureFilesPlugin(settings).file_store()
    await store.start()
    yield store
    await store.stop()


class TestOverAzurite(FileStoreContract, loop_scope="module"):
    pass
