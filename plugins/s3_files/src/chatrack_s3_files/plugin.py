"""`s3_files`: files in a bucket of Amazon S3, or of any service that speaks its protocol.

obstore does everything here that aioboto3 does, in one package without dependencies, and aborts unfinished uploads by
itself; aioboto3 pins botocore to single versions, and botocore takes a second to import. obstore cannot be used in a
process whose parent has used it, and does not sign the Content-Type of an upload.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import msgspec
import obstore
from obstore.store import S3Store

import chatrack
from chatrack import FileStore, Secret, UploadTarget, hookimpl
from chatrack_s3_files.failures import requesting
from chatrack_s3_files.objects import ANSWER, CLIENT, RETRIES, ObjectFiles

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

LONGEST_SIGNATURE = timedelta(days=7)
"""The longest time for which S3 accepts a signed URL."""

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]

_PREFIX = re.compile(r"(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*")


class S3FilesPlugin:
    """Keeps files in a bucket, for any number of processes on any number of machines."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.s3_files]`."""

        bucket: NonEmpty
        """The name of the bucket, which exists."""
        region: NonEmpty | None = None
        """The region of the bucket; that of `AWS_REGION` if absent, then us-east-1, which other services mostly take."""
        endpoint_url: NonEmpty | None = None
        """The URL of the service, without the bucket; Amazon's in the region if absent."""
        public_endpoint_url: NonEmpty | None = None
        """The URL under which clients reach the service; `endpoint_url` if absent."""
        prefix: str = ""
        """What the names of all objects begin with, such as `chatrack/`."""
        access_key: Secret | None = None
        """The id of an access key. Without one, those of the environment or of the machine are used."""
        secret_key: Secret | None = None
        """The secret of that access key."""

        def __post_init__(self) -> None:
            for name in ("endpoint_url", "public_endpoint_url"):
                url = getattr(self, name)
                if url is not None:
                    _check_url(name, url)
            if not _PREFIX.fullmatch(self.prefix) or {".", ".."} & set(self.prefix.split("/")):
                raise ValueError("prefix: expected letters, digits, `_`, `-` and `.` between single `/`")
            if not self.access_key and self.secret_key:
                raise ValueError("access_key: missing; it is required with `secret_key`")
            if self.access_key and not self.secret_key:
                raise ValueError("secret_key: missing; it is required with `access_key`")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @hookimpl
    def file_store(self) -> FileStore:
        """Return the store over the bucket."""
        return S3Files(self._settings)


class S3Files(ObjectFiles[S3Store]):
    """A bucket of files.

    Args:
        settings: the settings of the plugin.
    """

    def __init__(self, settings: S3FilesPlugin.Settings) -> None:
        super().__init__(prefix=settings.prefix)
        self._settings = settings
        self._public: S3Store | None = None

    def open(self) -> S3Store:
        return self._store_at(self._settings.endpoint_url)

    async def stop(self) -> None:
        await super().stop()
        self._public = None

    async def upload_target(self, key: str, *, content_type: str, expires_in: int) -> UploadTarget:
        url = await self._signed("PUT", key, expires_in)
        return UploadTarget(url=url, headers={"Content-Type": content_type})

    async def download_url(self, key: str, *, expires_in: int) -> str:
        return await self._signed("GET", key, expires_in)

    async def _signed(self, method: Literal["GET", "PUT"], key: str, expires_in: int) -> str:
        path = self._path(key)
        expires = min(timedelta(seconds=expires_in), LONGEST_SIGNATURE)
        if self._public is None:
            self._public = self._store_at(self._settings.public_endpoint_url or self._settings.endpoint_url)
        async with requesting("URLs of files cannot be signed right now", ANSWER):
            return await obstore.sign_async(self._public, method, path, expires)

    def _store_at(self, endpoint: str | None) -> S3Store:
        settings = self._settings
        options: S3Config = {}
        if settings.region is not None:
            options["region"] = settings.region
        if endpoint is not None:
            options["endpoint"] = endpoint.rstrip("/")
        return S3Store(
            settings.bucket,
            config=options,
            client_options={**CLIENT, "allow_http": (endpoint or "").startswith("http://")},
            retry_config=RETRIES,
            credential_provider=self._credential if settings.access_key else None,
        )

    def _credential(self) -> "S3Credential":
        # Given in this way, and not as options, which would be mixed with those of the environment.
        settings = self._settings
        assert settings.access_key is not None
        assert settings.secret_key is not None
        return {
            "access_key_id": settings.access_key.reveal(),
            "secret_access_key": settings.secret_key.reveal(),
            "expires_at": None,
        }


def _check_url(name: str, url: str) -> None:
    """Check a URL of the service.

    Raises:
        ValueError: it is none, or has parts that it must not have; the message does not quote it.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(f"{name}: expected a URL such as https://s3.example.com")
    if "@" in parts.netloc:
        raise ValueError(f"{name}: must not contain a user or a password; use `access_key` and `secret_key`")
    if parts.query or parts.fragment:
        raise ValueError(f"{name}: must end with its path")
