"""What a model is shown of the files of a conversation."""

import base64
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import structlog
from chatkit.types import Attachment, UserMessageItem
from openai.types.responses import ResponseInputContentParam, ResponseInputImageParam

from chatrack.chat.agents.sanitize import sanitize_text
from chatrack.errors import RequestError
from chatrack.files.decoder import Decoder, Undecodable
from chatrack.files.files import Files
from chatrack.files.types import category
from chatrack.interfaces import ItemRecord
from chatrack.interfaces.records import record_to_item

MAX_TEXT = 40_000
"""The most characters of a text or a PDF that a model is shown: about 10,000 tokens."""

_CACHE_SIZE = 64 * 1024 * 1024
"""Characters of what was converted that are kept: each turn shows the files of the conversation again."""

_log = structlog.get_logger(source="chatrack.files")


class AttachmentParts:
    """Converts attachments to what models read: images, and texts. What cannot be read is left out.

    Args:
        files: has the files.
        max_bytes: the bytes of all files together that a model is shown, the newest ones first.
    """

    def __init__(self, files: Files, max_bytes: int) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._cache: OrderedDict[str, ResponseInputContentParam] = OrderedDict()
        self._cached = 0
        self._decoder = Decoder()

    async def load(self, records: Sequence[ItemRecord]) -> Mapping[str, ResponseInputContentParam]:
        """Return the parts of the attachments of messages, by the id of the attachment.

        Args:
            records: the history, oldest first.
        """
        parts: dict[str, ResponseInputContentParam] = {}
        left = self._max_bytes
        for record in reversed(records):
            if record.type != "user_message" or '"attachments":[]' in record.data:
                continue
            for attachment in _attachments_of(record):
                if attachment.id in parts:
                    continue
                try:
                    size = (await self._files.stat(attachment.id)).size
                    if size > left:
                        continue
                    part = await self._part(attachment)
                except (RequestError, Undecodable) as error:
                    # The conversation goes on without it.
                    _log.warning("file not shown to the model", file=attachment.id, reason=str(error))
                    continue
                if part is not None:
                    left -= size
                    parts[attachment.id] = part
        return parts

    async def _part(self, attachment: Attachment) -> ResponseInputContentParam | None:
        part = self._cache.get(attachment.id)
        if part is not None:
            self._cache.move_to_end(attachment.id)
            return part
        part = await self._convert(attachment)
        if part is not None:
            self._cache[attachment.id] = part
            self._cached += len(str(part))
            while self._cached > _CACHE_SIZE:
                _, oldest = self._cache.popitem(last=False)
                self._cached -= len(str(oldest))
        return part

    async def _convert(self, attachment: Attachment) -> ResponseInputContentParam | None:
        kind = category(attachment.mime_type)
        if kind == "other":
            return None
        data = b"".join([chunk async for chunk in self._files.read(attachment.id)])
        if kind == "image":
            image = await self._decoder.shrink_image(data)
            url = f"data:{image.mime_type};base64,{base64.b64encode(image.data).decode()}"
            return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
        if kind == "pdf":
            text = await self._decoder.extract_text(data, max_chars=MAX_TEXT + 1)
        else:
            text = _decode(data[: 4 * MAX_TEXT + 4])
        note = ""
        if len(text) > MAX_TEXT:
            text, note = text[:MAX_TEXT], "\n[The rest of the file is left out.]"
        head = f"[The user attached the file {attachment.name}, {attachment.mime_type}:]\n"
        return {"type": "input_text", "text": f"{head}{sanitize_text(text)}{note}"}


def _attachments_of(record: ItemRecord) -> Sequence[Attachment]:
    try:
        item = record_to_item(record)
    except ValueError:  # such an item must not make its thread unusable
        return []
    return item.attachments if isinstance(item, UserMessageItem) else []


def _decode(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return data.decode(encoding, errors="replace")
