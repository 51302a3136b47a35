"""`azure_files`: files in a container of Azure Blob Storage.

obstore sends every block under a random name, while azure-storage-blob numbers them, so that two uploads of one blob at
the same time are mixed; and it is one package without dependencies. It takes no connection strings, which are a few
lines to parse, and it cannot be used in a process whose parent has used it.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import obstore
from obstore.store import AzureStore

import chatrack
from chatrack import FileStore, Secret, UploadTarget, hookimpl
from chatrack_azure_files.account import (
    Account,
    check_endpoint,
    default_endpoint,
    is_key,
    parse_connection_string,
)
from chatrack_azure_files.failures import requesting
from chatrack_azure_files.objects import ANSWER, CLIENT, RETRIES, ObjectFiles

if TYPE_CHECKING:
    from obstore.store import AzureAccessKey

_PREFIX = re.compile(r"(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*")


class AzureFilesPlugin:
    """Keeps files in a container, for any number of processes on any number of machines."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.azure_files]`: `connection_string`, or `account_name` and `account_key`."""

        container: Annotated[str, msgspec.Meta(min_length=1)]
        """The name of the container, which exists."""
        connection_string: Secret | None = None
        """What the Azure portal shows as the connection string of an access key."""
        account_name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{3,24}$")] | None = None
        """The name of the storage account."""
        account_key: Secret | None = None
        """One of its two access keys."""
        endpoint_url: str | None = None
        """The URL of the account's blobs; `https://<account_name>.blob.core.windows.net` if absent."""
        prefix: str = ""
        """What the names of all blobs begin with, such as `chatrack/`."""

        def __post_init__(self) -> None:
            if not _PREFIX.fullmatch(self.prefix) or {".", ".."} & set(self.prefix.split("/")):
                raise ValueError("prefix: expected letters, digits, `_`, `-` and `.` between single `/`")
            if self.endpoint_url is not None:
                try:
                    check_endpoint(self.endpoint_url)
                except ValueError as error:
                    raise ValueError(f"endpoint_url: {error}") from None
            self.account()

        def account(self) -> Account:
            """Return the storage account.

            Raises:
                ValueError: the settings name none, or two.
            """
            if self.connection_string:
                if self.account_name or self.account_key:
                    raise ValueError(
                        "connection_string: has name and key of the account; set one or the other"
                    )
                try:
                    account = parse_connection_string(self.connection_string.reveal())
                except ValueError as error:
                    raise ValueError(f"connection_string: {error}") from None
                if self.endpoint_url is not None:
                    account = msgspec.structs.replace(account, endpoint=self.endpoint_url)
                return account
            if not self.account_name:
                raise ValueError(
                    "connection_string: missing; it, or `account_name` and `account_key`, is required"
                )
            if not self.account_key:
                raise ValueError("account_key: missing; it is required with `account_name`")
            if not is_key(self.account_key.reveal()):
                raise ValueError("account_key: is not Base64")
            endpoint = self.endpoint_url or default_endpoint(self.account_name)
            return Account(name=self.account_name, key=self.account_key, endpoint=endpoint)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @hookimpl
    def file_store(self) -> FileStore:
        """Return the store over the container."""
        settings = self._settings
        return AzureFiles(settings.account(), settings.container, prefix=settings.prefix)


class AzureFiles(ObjectFiles[AzureStore]):
    """A container of files.

    Args:
        account: the storage account.
        container: the name of the container.
        prefix: what the names of all blobs begin with.
    """

    def __init__(self, account: Account, container: str, *, prefix: str = "") -> None:
        super().__init__(prefix=prefix)
        self._account = account
        self._container = container

    async def upload_target(self, key: str, *, content_type: str, expires_in: int) -> UploadTarget:
        url = await self._signed("PUT", key, expires_in)
        return UploadTarget(url=url, headers={"Content-Type": content_type, "x-ms-blob-type": "BlockBlob"})

    async def download_url(self, key: str, *, expires_in: int) -> str:
        return await self._signed("GET", key, expires_in)

    def open(self) -> AzureStore:
        return AzureStore(
            self._container,
            account_name=self._account.name,
            endpoint=self._account.endpoint.rstrip("/"),
            client_options={**CLIENT, "allow_http": self._account.endpoint.startswith("http://")},
            retry_config=RETRIES,
            credential_provider=self._credential,
        )

    async def _signed(self, method: Literal["GET", "PUT"], key: str, expires_in: int) -> str:
        path = self._path(key)
        async with requesting("URLs of files cannot be signed right now", ANSWER):
            return await obstore.sign_async(self.objects, method, path, timedelta(seconds=expires_in))

    def _credential(self) -> "AzureAccessKey":
        # Given in this way, and not as an option, which would be mixed with those of the environment.
        return {"access_key": self._account.key.reveal(), "expires_at": None}
