"""Checks the bytes of a file while they pass."""

from collections.abc import AsyncIterator
from fnmatch import fnmatchcase

from chatrack.config import FilesTable
from chatrack.errors import BadRequest, PayloadTooLarge, RequestError, UnsupportedMediaType
from chatrack.files.sniffing import sniff
from chatrack.files.types import agrees

HEAD = 4096
"""How many bytes the type is told from."""


class ContentCheck:
    """Yields the bytes of a file, and raises if they are too many, none, or not of the type they are said to be.

    A file store may raise an error of its own when its input raises: `error` is what was found.

    Args:
        chunks: the bytes.
        declared: the type that the client says they have.
        settings: what is accepted.
    """

    def __init__(self, chunks: AsyncIterator[bytes], declared: str, settings: FilesTable) -> None:
        self._chunks = chunks
        self._declared = declared
        self._settings = settings
        self.mime_type = declared
        self.error: RequestError | None = None

    async def checked(self) -> AsyncIterator[bytes]:
        """Yield the bytes. The first ones come when the type is known.

        Raises:
            BadRequest: there are none.
            PayloadTooLarge: there are too many.
            UnsupportedMediaType: they are of another type than declared, or of one that is not accepted.
        """
        try:
            head = bytearray()
            size = 0
            is_checked = False
            async for chunk in self._chunks:
                size += len(chunk)
                if size > self._settings.max_size:
                    raise PayloadTooLarge(f"The file is larger than {self._settings.max_size:,} bytes.")
                if is_checked:
                    yield chunk
                    continue
                head += chunk
                if len(head) >= HEAD:
                    self._check_type(bytes(head))
                    is_checked = True
                    yield bytes(head)
            if not is_checked:
                if not head:
                    raise BadRequest("The file is empty.", field="file")
                self._check_type(bytes(head))
                yield bytes(head)
        except RequestError as error:
            self.error = error
            raise

    def _check_type(self, head: bytes) -> None:
        found = sniff(head[:HEAD])
        if not agrees(self._declared, found):
            raise UnsupportedMediaType(
                f"The file is said to be {self._declared}, and its content is {found}."
            )
        if self._declared in {"", "application/octet-stream"}:
            self.mime_type = found
        check_type(self.mime_type, self._settings)
        check_type(found, self._settings)


def check_type(mime_type: str, settings: FilesTable) -> None:
    """Check a type against `[files] allowed_types`.

    Raises:
        UnsupportedMediaType: it is not accepted.
    """
    accepted = settings.allowed_types
    if accepted and not any(fnmatchcase(mime_type, pattern) for pattern in accepted):
        raise UnsupportedMediaType(
            f"Files of the type {mime_type} are not accepted; {', '.join(accepted)} are."
        )
