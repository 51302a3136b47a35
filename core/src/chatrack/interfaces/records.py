"""Records of threads and items, as stores keep them: a few columns, and the JSON that is sent to clients."""

import re
from typing import Any

import msgspec
from chatkit.types import (
    Attachment,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadMetadata,
)
from pydantic import BaseModel, TypeAdapter

from chatrack.clock import as_utc, from_micros, to_micros, to_wire
from chatrack.errors import BadRequest

ITEM_FORMAT = 1
"""The version of the format of `ItemRecord.data`."""

HIDDEN_TYPES = ("hidden_context_item", "sdk_hidden_context")
"""Item types that are never sent to a client."""

# Built once: building one takes about two milliseconds of CPU.
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_JSON = msgspec.json.Encoder()

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""An encoded NUL character. An even number of backslashes before it would make it ordinary text."""


class ItemRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a thread.

    Args:
        id: the id, unique within the thread.
        thread_id: the thread.
        type: ChatKit's item type.
        data: the item as JSON, exactly as ChatKit serializes it.
        turn_id: the turn that wrote the item; None if it was written outside of a turn.
        provider_metadata: the provider's ids and data of the item, as JSON. It is never sent to a client.
        seq: the position in the thread. The store assigns it when the item is first added; before that it is 0.
        format: the version of the format of `data`.
    """

    id: str
    thread_id: str
    type: str
    data: str
    turn_id: str | None = None
    provider_metadata: str | None = None
    seq: int = 0
    format: int = ITEM_FORMAT

    @property
    def hidden(self) -> bool:
        """Whether the item must not be sent to a client."""
        return self.type in HIDDEN_TYPES


class ThreadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, without its items.

    Args:
        id: `thr_…`.
        created_at: microseconds since 1970.
        title: the title in the list of threads.
        status: ChatKit's thread status as JSON, such as `{"type":"active"}`.
        metadata: ChatKit's thread metadata as JSON. It is never sent to a client.
        allowed_image_domains: a JSON list, or None.
        history_from: the `seq` of the first item that is part of the model's input.
    """

    id: str
    created_at: int
    title: str | None = None
    status: str = '{"type":"active"}'
    metadata: str = "{}"
    allowed_image_domains: str | None = None
    history_from: int = 0


class PauseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pause: an item of a thread waits for a client tool, an approval or an answer.

    Args:
        thread_id: the thread.
        item_id: the item. When it is removed, the pause is removed too.
        turn_id: the turn that wrote the item.
        kind: what the item waits for, such as `client_tool`.
        data: what is needed to resume, as JSON.
        created_at: microseconds since 1970.
    """

    thread_id: str
    item_id: str
    turn_id: str
    kind: str
    data: str = "{}"
    created_at: int


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of one model by one agent in a turn. Counts are None if the provider did not report them.

    Input and output tokens are estimated for calls that were cut off before the provider's report.

    Args:
        turn_id: the turn.
        agent: the agent's name.
        model: the model's name, `provider/model`.
        thread_id: the thread.
        requests: how often the model was called.
        input_tokens: input tokens, including cached tokens.
        cached_tokens: input tokens that came from the provider's cache.
        output_tokens: output tokens, including reasoning tokens.
        reasoning_tokens: output tokens of reasoning.
        created_at: microseconds since 1970.
    """

    turn_id: str
    agent: str
    model: str
    thread_id: str
    requests: int = 0
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    created_at: int


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of item records.

    Args:
        data: the records, in the requested order.
        has_more: whether there is a next page.
        after: the cursor of the next page, which is the id of the last record.
    """

    data: list[ItemRecord]
    has_more: bool = False
    after: str | None = None


class ThreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of thread records; fields as in `RecordPage`."""

    data: list[ThreadRecord]
    has_more: bool = False
    after: str | None = None


def dump(model: BaseModel) -> str:
    """Return a ChatKit object as the JSON that is sent to the client and stored."""
    return model.model_dump_json(by_alias=True, exclude_none=True, context={"exclude_metadata": True})


def item_to_record(
    item: ThreadItem, *, turn_id: str | None = None, provider_metadata: str | None = None
) -> ItemRecord:
    """Encode an item. Its time is converted to UTC.

    Args:
        item: any ChatKit item.
        turn_id: the turn that writes it.
        provider_metadata: the provider's ids and data of the item, as JSON.

    Raises:
        BadRequest: a text in it has a NUL character, which not every database can store.
    """
    if item.created_at.tzinfo is None or item.created_at.utcoffset():
        item = item.model_copy(update={"created_at": as_utc(item.created_at)})
    data = dump(item)
    if holds_nul(data):
        raise BadRequest("Text must not hold NUL characters.")
    return ItemRecord(
        id=item.id,
        thread_id=item.thread_id,
        type=item.type,
        data=data,
        turn_id=turn_id,
        provider_metadata=provider_metadata,
    )


def holds_nul(data: str) -> bool:
    """Return whether a text in JSON has a NUL character."""
    return "\\u0000" in data and _NUL.search(data) is not None


def record_to_item(record: ItemRecord) -> ThreadItem:
    """Decode an item."""
    return _ITEM.validate_json(record.data)


def is_hidden(item: object) -> bool:
    """Return whether an item must not be sent to a client."""
    return isinstance(item, HiddenContextItem | SDKHiddenContextItem)


def thread_to_record(thread: ThreadMetadata) -> ThreadRecord:
    """Encode a thread's metadata."""
    return ThreadRecord(
        id=thread.id,
        created_at=to_micros(thread.created_at),
        title=thread.title,
        status=thread.status.model_dump_json(exclude_none=True),
        metadata=_JSON.encode(thread.metadata).decode(),
        allowed_image_domains=(
            None
            if thread.allowed_image_domains is None
            else _JSON.encode(thread.allowed_image_domains).decode()
        ),
    )


def record_to_thread(record: ThreadRecord) -> ThreadMetadata:
    """Decode a thread's metadata."""
    values: dict[str, Any] = {
        "id": record.id,
        "title": record.title,
        "created_at": from_micros(record.created_at),
        "status": msgspec.json.decode(record.status),
        "metadata": msgspec.json.decode(record.metadata),
    }
    if record.allowed_image_domains is not None:
        values["allowed_image_domains"] = msgspec.json.decode(record.allowed_image_domains)
    return ThreadMetadata.model_validate(values)


def thread_to_wire(record: ThreadRecord, items: RecordPage | None = None) -> bytes:
    """Return the JSON of a thread for the client, exactly as ChatKit serializes it.

    It is composed from the record, because decoding and encoding the items would take much longer.

    Args:
        record: the thread. Its metadata is left out.
        items: the page of items in the thread; an empty page if None.
    """
    parts = ["{"]
    if record.title is not None:
        parts.append(f'"title":{_JSON.encode(record.title).decode()},')
    created = to_wire(from_micros(record.created_at))
    parts.append(f'"id":"{record.id}","created_at":"{created}","status":{record.status},')
    if record.allowed_image_domains is not None:
        parts.append(f'"allowed_image_domains":{record.allowed_image_domains},')
    parts.append('"metadata":{},"items":')
    parts.append(page_to_wire([] if items is None else [item.data for item in items.data], items))
    parts.append("}")
    return "".join(parts).encode()


def page_to_wire(data: list[str], page: RecordPage | ThreadPage | None) -> str:
    """Return the JSON of a page of encoded objects for the client."""
    more = "true" if page is not None and page.has_more else "false"
    after = f',"after":"{page.after}"' if page is not None and page.after is not None else ""
    return f'{{"data":[{",".join(data)}],"has_more":{more}{after}}}'


def dump_attachment(attachment: Attachment) -> str:
    """Encode an attachment for the store, including its metadata."""
    return attachment.model_dump_json(by_alias=True, exclude_none=True)


def load_attachment(data: str) -> Attachment:
    """Decode an attachment from the store."""
    return _ATTACHMENT.validate_json(data)
