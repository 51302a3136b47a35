"""The contract of file stores over moto's S3."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatrack import FileStore, Secret
from chatrack.testing import FileStoreContract
from chatrack_s3_files import S3FilesPlugin


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", "chatrack/files"])
async def file_store(request: pytest.FixtureRequest, moto) -> AsyncIterator[FileStore]:
    settings = S3FilesPlugin.Settings(
        bucket=moto.new_bucket(),
        endpoint_url=moto.url,
        prefix=request.param,
        access_key=Secret("key"),
        secret_key=Secret("secret"),
    )
    store = S3FilesPlugin(settings).file_store()
    await store.start()
    yield store
    await store.stop()


class TestOverMoto(FileStoreContract, loop_scope="module"):
    many = 1010  # more than one page
