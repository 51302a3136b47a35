"""The requests that are answered at once. Reads are spliced from stored JSON, without rebuilding what is in it."""

import math
from typing import TYPE_CHECKING, assert_never

import structlog
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    InputTranscribeParams,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    NonStreamingReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
    TranscriptionResult,
)

from chatrack.chat.errors import describe
from chatrack.chat.requests import (
    DEFAULT_PAGE,
    check_feedback,
    clean_audio,
    clean_text,
    clean_title,
    page_size,
)
from chatrack.errors import BadRequest, ModelFailure, Unavailable
from chatrack.interfaces import RequestContext
from chatrack.interfaces.records import dump, page_to_wire, thread_to_wire

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer

_EMPTY = b"{}"

_log = structlog.get_logger(source="chatrack.dictation")


async def answer(server: "ChatrackServer", request: NonStreamingReq, context: RequestContext) -> bytes:
    """Answer a request that does not stream.

    Args:
        server: the server.
        request: the request.
        context: who is asking.

    Returns:
        JSON, in the bytes that ChatKit's own serialisation gives.

    Raises:
        RequestError: it is refused.
    """
    store = server.store
    match request:
        case ThreadsListReq(params=params):
            threads = await store.page_threads(
                after=params.after, limit=page_size(params.limit), order=params.order, context=context
            )
            return page_to_wire([thread_to_wire(one).decode() for one in threads.data], threads).encode()
        case ItemsListReq(params=params):
            await _exists_if_limit_is_wrong(server, params.thread_id, params.limit, context)
            page = await store.page_items(
                params.thread_id,
                after=params.after,
                limit=page_size(params.limit),
                order=params.order,
                context=context,
            )
            return page_to_wire([one.data for one in page.data], page).encode()
        case ThreadsGetByIdReq(params=params):
            thread, page = await store.thread_with_items(
                params.thread_id, limit=DEFAULT_PAGE, context=context
            )
            return thread_to_wire(thread, page)
        case ThreadsUpdateReq(params=params):
            await store.load_record(params.thread_id, context)  # 404 comes before 400
            await store.set_title(params.thread_id, clean_title(params.title, server.chat), context)
            return thread_to_wire(await store.load_record(params.thread_id, context))
        case ThreadsDeleteReq(params=params):
            await store.delete_thread(params.thread_id, context)
            server.turns.lose(params.thread_id)
            return _EMPTY
        case ItemsFeedbackReq(params=params):
            await store.load_record(params.thread_id, context)  # 404 comes before 400
            check_feedback(params.item_ids)
            await server.add_feedback(params.thread_id, params.item_ids, params.kind, context)
            return _EMPTY
        case AttachmentsDeleteReq(params=params):
            await store.load_attachment(params.attachment_id, context)  # 404 comes first
            raise BadRequest("This server keeps no files.")
        case AttachmentsCreateReq():
            raise BadRequest("This server takes no files.")
        case InputTranscribeReq(params=params):
            return await _transcribed(server, params)
        case ThreadsSyncCustomActionReq():
            return await server.sync_action_now(request, context)
        case _:
            assert_never(request)


async def _transcribed(server: "ChatrackServer", params: InputTranscribeParams) -> bytes:
    transcriber = server.assembly.transcriber
    if transcriber is None:
        raise BadRequest("This server does not take dictation.")
    audio, mime_type = clean_audio(params, server.chat)
    try:
        text = await transcriber.provider.transcribe(audio, mime_type=mime_type, model_name=transcriber.model)
    except ModelFailure as failure:
        failure.model = transcriber.name
        event = describe(failure, _log)
        assert event.message is not None
        after = None if failure.retry_after is None else math.ceil(failure.retry_after)
        raise Unavailable(event.message, retry_after=after) from failure
    return dump(TranscriptionResult(text=clean_text(text))).encode()


async def _exists_if_limit_is_wrong(
    server: "ChatrackServer", thread_id: str, limit: int | None, context: RequestContext
) -> None:
    # An unknown thread is a 404 whatever else is wrong; asking costs a query only when something is.
    if limit is not None and limit < 1:
        await server.store.load_record(thread_id, context)
