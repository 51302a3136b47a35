"""The files of a server: uploading, reading and deleting them."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from chatkit.types import Attachment, AttachmentUploadDescriptor, FileAttachment, ImageAttachment
from pydantic import AnyUrl

from chatrack.config import FilesTable
from chatrack.errors import BadRequest, Conflict, NotFound, PayloadTooLarge, RequestError
from chatrack.files.content_check import ContentCheck, check_type
from chatrack.files.links import FileLinks
from chatrack.files.names import clean_name
from chatrack.files.urls import PLACEHOLDER_URL, add_urls
from chatrack.ids import new_id
from chatrack.interfaces import FileStore, RequestContext, Store, StoredFile, User

_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
"""Types that every browser shows as an image."""

DELETED_AT_ONCE = 100
"""How many files are deleted before they are forgotten."""


class Files:
    """Files, over a file store for their bytes and a store for their records.

    The record is saved first and the bytes follow: whatever crashes, no file is without a record. A file whose bytes the
    client sends later waits under a key of its own, because whoever has the URL may write it again. When it is first
    used, it is copied to its final key, and what is copied is checked.

    Args:
        file_store: has the bytes.
        store: has the records.
        settings: what is accepted.
        links: makes URLs.
    """

    def __init__(self, file_store: FileStore, store: Store, settings: FilesTable, links: FileLinks) -> None:
        self._file_store = file_store
        self._store = store
        self._settings = settings
        self._installation: str | None = None
        self.links = links

    async def upload(
        self, chunks: AsyncIterator[bytes], *, name: str, declared: str, context: RequestContext
    ) -> Attachment:
        """Store a file that a client sends.

        Args:
            chunks: its bytes.
            name: its name.
            declared: its type, as the client says.
            context: who sends it.

        Raises:
            RequestError: it is refused; nothing is left.
        """
        attachment = self._attachment(name, _clean_type(declared))
        # Until its bytes are here, it is like one whose bytes are sent later.
        await self._store.save_attachment(self._announced(attachment, context.user), context)
        try:
            return await self._keep(attachment, chunks, declared=attachment.mime_type, context=context)
        except BaseException:
            await self._store.delete_attachment(attachment.id, context)
            raise

    async def announce(self, *, name: str, size: int, declared: str, context: RequestContext) -> Attachment:
        """Return the attachment of a file whose bytes the client sends later, to its `upload_descriptor`.

        Args:
            name: its name.
            size: its size in bytes, as the client says.
            declared: its type, as the client says.
            context: who sends it.

        Raises:
            RequestError: it is refused.
        """
        if size < 1:
            raise BadRequest("The file is empty.", field="params.size")
        if size > self._settings.max_size:
            raise PayloadTooLarge(f"The file is larger than {self._settings.max_size:,} bytes.")
        attachment = self._attachment(name, _clean_type(declared))
        if attachment.mime_type != "application/octet-stream":
            check_type(attachment.mime_type, self._settings)
        target = await self._file_store.upload_target(
            await self._key("pending", attachment.id),
            content_type=attachment.mime_type,
            expires_in=self._settings.url_ttl,
        )
        descriptor = None
        if target is not None:
            descriptor = {"url": target.url, "method": target.method, "headers": dict(target.headers)}
        announced = self._announced(attachment, context.user, descriptor)
        await self._store.save_attachment(announced, context)
        return announced

    async def receive(self, file_id: str, chunks: AsyncIterator[bytes], context: RequestContext) -> None:
        """Store the bytes of a file that was announced, until it is used.

        Args:
            file_id: the file.
            chunks: its bytes.
            context: its owner.

        Raises:
            RequestError: there is no such file, it has its bytes already, or there are too many.
        """
        attachment = await self._store.load_attachment(file_id, context)
        if attachment.upload_descriptor is None:
            raise Conflict("The file has been uploaded already.")
        check = ContentCheck(chunks, attachment.mime_type, self._settings)
        await self._put("pending", file_id, check)

    async def ready(self, file_id: str, context: RequestContext) -> Attachment:
        """Return an attachment whose bytes are here, checked and final.

        Raises:
            NotFound: the user has no such file.
            Conflict: its bytes were never sent.
            RequestError: what was sent is refused.
        """
        attachment = await self._store.load_attachment(file_id, context)
        if attachment.upload_descriptor is None:
            return attachment
        # docs/upstream.md: writable-presigned-urls
        pending = await self._key("pending", file_id)
        try:
            size = (await self._file_store.stat(pending)).size
        except NotFound:
            raise Conflict(f"The file “{attachment.name}” has not been uploaded yet.") from None
        if size > self._settings.max_size:
            raise PayloadTooLarge(f"The file is larger than {self._settings.max_size:,} bytes.")
        chunks = self._file_store.read(pending)
        try:
            kept = await self._keep(attachment, chunks, declared=attachment.mime_type, context=context)
        finally:
            await chunks.aclose()
        await self._file_store.delete(pending)
        return kept

    async def assign(self, attachment: Attachment, thread_id: str, context: RequestContext) -> None:
        """Make a file one of a thread, with which it is deleted.

        Raises:
            NotFound: the user has no such thread.
        """
        await self._store.save_attachment(attachment.model_copy(update={"thread_id": thread_id}), context)

    async def stat(self, file_id: str) -> StoredFile:
        """Return what is known about the bytes of a file. The caller has checked whose it is.

        Raises:
            NotFound: they are not there.
        """
        return await self._file_store.stat(await self._key("files", file_id))

    async def read(self, file_id: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file, as `FileStore.read` does. The caller has checked whose it is."""
        chunks = self._file_store.read(await self._key("files", file_id), start=start, end=end)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def redirect_url(self, file_id: str, *, expires_in: int) -> str | None:
        """Return the file store's own URL of a file, if the config says so and there is one."""
        if not self._settings.redirect:
            return None
        return await self._file_store.download_url(await self._key("files", file_id), expires_in=expires_in)

    async def delete(self, file_id: str, context: RequestContext) -> None:
        """Delete a file. Its bytes are deleted soon after its record.

        Raises:
            NotFound: the user has no such file.
        """
        await self._store.delete_attachment(file_id, context)

    async def delete_queued(self) -> int:
        """Delete the bytes of files whose records are deleted, and return how many there were.

        Raises:
            Unavailable: the files or the store cannot be reached; what is left stays queued.
        """
        deleted = 0
        while ids := await self._store.deleted_files(limit=DELETED_AT_ONCE):
            for file_id in ids:
                for place in ("pending", "files"):
                    await self._file_store.delete(await self._key(place, file_id))
            await self._store.forget_deleted_files(ids)
            deleted += len(ids)
        return deleted

    def add_urls(self, text: str, user: User) -> str:
        """Return the JSON of items with the URLs of files that their owner may use now."""
        return add_urls(text, lambda file_id: self.links.url("files", file_id, user))

    def with_url(self, attachment: Attachment, user: User) -> Attachment:
        """Return an attachment with the URL that its owner may use now."""
        if not isinstance(attachment, ImageAttachment):
            return attachment
        url = self.links.url("files", attachment.id, user)
        return attachment.model_copy(update={"preview_url": AnyUrl(url)})

    async def _keep(
        self, attachment: Attachment, chunks: AsyncIterator[bytes], *, declared: str, context: RequestContext
    ) -> Attachment:
        """Check and store the bytes of a file under its final key, and save its record."""
        check = ContentCheck(chunks, declared, self._settings)
        size = await self._put("files", attachment.id, check)
        kept = self._attachment(attachment.name, check.mime_type, file_id=attachment.id, size=size)
        await self._store.save_attachment(kept, context)
        return kept

    async def _put(self, place: str, file_id: str, check: ContentCheck) -> int:
        key = await self._key(place, file_id)
        chunks = check.checked()
        try:
            return await self._file_store.put(key, chunks, content_type=check.mime_type)
        except RequestError:
            if check.error is not None:
                raise check.error from None
            raise

    async def _key(self, place: str, file_id: str) -> str:
        if self._installation is None:
            self._installation = await self._store.installation_id()
        return f"{place}/{self._installation}/{file_id}"

    def _announced(
        self, attachment: Attachment, user: User, descriptor: dict[str, Any] | None = None
    ) -> Attachment:
        descriptor = descriptor or {
            "url": self.links.url("upload", attachment.id, user),
            "method": "PUT",
            "headers": {},
        }
        return attachment.model_copy(
            update={"upload_descriptor": AttachmentUploadDescriptor.model_validate(descriptor)}
        )

    def _attachment(
        self, name: str, mime_type: str, *, file_id: str | None = None, size: int | None = None
    ) -> Attachment:
        values: dict[str, Any] = {
            "id": file_id or new_id("attachment"),
            "name": clean_name(name),
            "mime_type": mime_type,
            "metadata": None if size is None else {"size": size},
        }
        if mime_type in _IMAGES:
            return ImageAttachment(preview_url=PLACEHOLDER_URL + values["id"], **values)
        return FileAttachment(**values)


def _clean_type(declared: str) -> str:
    """Return a media type without its parameters, in lower case."""
    mime_type = declared.partition(";")[0].strip().lower()
    is_type = mime_type.count("/") == 1 and mime_type.isascii() and mime_type.isprintable()
    if not is_type or len(mime_type) > 100 or " " in mime_type:
        return "application/octet-stream"
    return "image/jpeg" if mime_type == "image/jpg" else mime_type
