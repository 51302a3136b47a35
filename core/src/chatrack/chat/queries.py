"""Requests that are answered at once. Pages are joined from stored JSON, without decoding the items."""

import math
from collections.abc import Callable
from typing import TypeAlias, assert_never

import structlog
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    InputTranscribeParams,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsUpdateReq,
    TranscriptionResult,
)

from chatrack import audit
from chatrack.assembly.models import NamedTranscriber
from chatrack.chat.errors import to_error_event
from chatrack.chat.requests import (
    DEFAULT_PAGE,
    check_feedback,
    clean_audio,
    clean_text,
    clean_title,
    page_size,
)
from chatrack.config import ChatTable
from chatrack.errors import BadRequest, ModelFailure, Unavailable
from chatrack.files.files import Files
from chatrack.interfaces import RequestContext, Store
from chatrack.interfaces.records import dump, page_to_wire, thread_to_wire

_EMPTY = b"{}"

_log = structlog.get_logger(source="chatrack.dictation")

Query: TypeAlias = (
    ThreadsListReq
    | ItemsListReq
    | ThreadsGetByIdReq
    | ThreadsUpdateReq
    | ThreadsDeleteReq
    | ItemsFeedbackReq
    | AttachmentsCreateReq
    | AttachmentsDeleteReq
    | InputTranscribeReq
)
"""Every request that does not stream, but for sync actions, which are turns."""


async def handle_query(
    request: Query,
    context: RequestContext,
    *,
    store: Store,
    chat: ChatTable,
    transcriber: NamedTranscriber | None,
    revoke: Callable[[str], None],
    files: Files | None,
) -> bytes:
    """Answer a request that does not stream.

    Args:
        request: the request.
        context: the user.
        store: where threads are.
        chat: the settings `[chat]`.
        transcriber: turns speech into text, if a model is configured for that.
        revoke: cancels the turns of a thread that was deleted.
        files: takes files; None if the server takes none.

    Returns:
        JSON, in the bytes of ChatKit's own serialisation.

    Raises:
        RequestError: the request is refused.
    """
    match request:
        case ThreadsListReq(params=params):
            threads = await store.page_threads(
                after=params.after, limit=page_size(params.limit), order=params.order, context=context
            )
            return page_to_wire(
                [thread_to_wire(record).decode() for record in threads.data], threads
            ).encode()
        case ItemsListReq(params=params):
            if params.limit is not None and params.limit < 1:
                await store.load_record(params.thread_id, context)  # 404 comes before 400
            page = await store.page_items(
                params.thread_id,
                after=params.after,
                limit=page_size(params.limit),
                order=params.order,
                context=context,
            )
            return page_to_wire([record.data for record in page.data], page).encode()
        case ThreadsGetByIdReq(params=params):
            thread, page = await store.thread_with_items(
                params.thread_id, limit=DEFAULT_PAGE, context=context
            )
            return thread_to_wire(thread, page)
        case ThreadsUpdateReq(params=params):
            await store.load_record(params.thread_id, context)  # 404 comes before 400
            await store.set_title(params.thread_id, clean_title(params.title, chat), context)
            return thread_to_wire(await store.load_record(params.thread_id, context))
        case ThreadsDeleteReq(params=params):
            await store.delete_thread(params.thread_id, context)
            revoke(params.thread_id)
            audit.record(
                "thread_deleted",
                tenant=context.user.tenant_id,
                user=context.user.id,
                address=context.address,
                request_id=context.request_id,
                thread=params.thread_id,
            )
            return _EMPTY
        case ItemsFeedbackReq(params=params):
            await store.load_record(params.thread_id, context)  # 404 comes before 400
            check_feedback(params.item_ids)
            await store.save_feedback(params.thread_id, params.item_ids, params.kind, context)
            return _EMPTY
        case AttachmentsDeleteReq(params=params):
            await store.delete_attachment(params.attachment_id, context)
            return _EMPTY
        case AttachmentsCreateReq(params=params):
            if files is None:
                raise BadRequest("This server takes no files.")
            announced = await files.announce(
                name=params.name, size=params.size, declared=params.mime_type, context=context
            )
            return dump(files.with_url(announced, context.user)).encode()
        case InputTranscribeReq(params=params):
            return await _transcribe(params, transcriber, chat)
        case _:
            assert_never(request)


async def _transcribe(
    params: InputTranscribeParams, transcriber: NamedTranscriber | None, chat: ChatTable
) -> bytes:
    if transcriber is None:
        raise BadRequest("This server does not take dictation.")
    audio, mime_type = clean_audio(params, chat)
    try:
        text = await transcriber.provider.transcribe(audio, mime_type=mime_type, model_name=transcriber.model)
    except ModelFailure as failure:
        failure.model = transcriber.name
        event = to_error_event(failure, _log)
        assert event.message is not None
        retry_after = None if failure.retry_after is None else math.ceil(failure.retry_after)
        raise Unavailable(event.message, retry_after=retry_after) from failure
    return dump(TranscriptionResult(text=clean_text(text))).encode()
