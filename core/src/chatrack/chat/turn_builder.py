"""From a streaming request to a plan: who asks for what exists is checked here, before the thread is taken."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, assert_never

from chatkit.types import (
    ClientToolCallItem,
    Page,
    StreamingReq,
    StreamOptionsEvent,
    StructuredInputItem,
    StructuredInputSubmission,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
)

from chatrack.chat.agents.resolver import chosen, chosen_before
from chatrack.chat.agents.titles import title_of
from chatrack.chat.requests import check_result, check_size, clean_answers, clean_message
from chatrack.chat.turns.request import Plan
from chatrack.clock import now
from chatrack.errors import BadRequest, NotFound
from chatrack.ids import new_id
from chatrack.interfaces import ActionCall, ActionHandler, Lease, RequestContext
from chatrack.interfaces.records import item_to_record, record_to_item, thread_to_record

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer
    from chatrack.chat.turns.turn import Turn


async def plan(server: "ChatrackServer", request: StreamingReq, context: RequestContext) -> Plan:
    """Plan the turn that a request asks for.

    Args:
        server: the server.
        request: the request.
        context: who is asking.

    Raises:
        RequestError: it is refused; nothing was written.
    """
    match request:
        case ThreadsCreateReq():
            return await _create(server, request.params.input, context)
        case ThreadsAddUserMessageReq():
            thread = await server.store.load_thread(request.params.thread_id, context)
            return await _message(server, thread, request.params.input, context)
        case ThreadsRetryAfterItemReq():
            thread = await server.store.load_thread(request.params.thread_id, context)
            record = await server.store.load_item_record(thread.id, request.params.item_id, context)
            message = record_to_item(record)
            if not isinstance(message, UserMessageItem):
                raise BadRequest("Only a user's message can be retried.", field="params.item_id")
            return _Retry(server, thread, message, record.seq)
        case ThreadsAddClientToolOutputReq():
            thread = await server.store.load_thread(request.params.thread_id, context)
            check_result(request.params.result)
            return _ClientToolOutput(server, thread, request.params.result)
        case ThreadsAddStructuredInputReq():
            thread = await server.store.load_thread(request.params.thread_id, context)
            item = await server.store.load_item(thread.id, request.params.item_id, context)
            if not isinstance(item, StructuredInputItem):
                raise BadRequest("This item asks for no input.", field="params.item_id")
            submission = clean_answers(request.params.input, server.chat)
            return _StructuredInput(server, thread, item.id, submission)
        case ThreadsCustomActionReq():
            thread = await server.store.load_thread(request.params.thread_id, context)
            call, handler = await action(server, request, context)
            return ActionPlan(server, thread, call, handler)
        case _:
            assert_never(request)


async def action(
    server: "ChatrackServer",
    request: ThreadsCustomActionReq | ThreadsSyncCustomActionReq,
    context: RequestContext,
) -> tuple[ActionCall, ActionHandler]:
    """Find out which handler an action means, and which widget was clicked.

    Raises:
        NotFound: no such item.
        BadRequest: the item is no widget, or no enabled plugin handles the action.
    """
    params = request.params
    sender = None
    if params.item_id:
        item = await server.store.load_item(params.thread_id, params.item_id, context)
        if not isinstance(item, WidgetItem):
            raise BadRequest("Only a widget sends actions.", field="params.item_id")
        sender = item
    handler = server.assembly.actions.get(params.action.type)
    if handler is None:
        raise BadRequest("This server has no action of this type.", field="params.action.type")
    return ActionCall(type=params.action.type, payload=params.action.payload, sender=sender), handler


def _options(server: "ChatrackServer") -> StreamOptionsEvent:
    return StreamOptionsEvent(stream_options=server.stream_options)


async def _create(server: "ChatrackServer", given: UserMessageInput, context: RequestContext) -> Plan:
    thread = ThreadMetadata(id=new_id("thread"), created_at=now())
    plan = await _message(server, thread, given, context)
    assert plan.message is not None
    plan.thread = thread = thread.model_copy(update={"title": title_of(plan.message, server.chat)})
    plan.create = thread_to_record(thread)
    plan.opening = [ThreadCreatedEvent(thread=Thread(**thread.model_dump(), items=Page())), *plan.opening]
    return plan


async def _message(
    server: "ChatrackServer", thread: ThreadMetadata, given: UserMessageInput, context: RequestContext
) -> Plan:
    message = clean_message(given, server.chat)
    entry = chosen(server.assembly, message.inference_options)
    attachments = []
    for attachment_id in message.attachments:
        try:
            attachment = await server.store.load_attachment(attachment_id, context)
        except NotFound as error:
            raise NotFound(error.detail, field="params.input.attachments") from error
        attachments.append(attachment.model_copy(update={"thread_id": thread.id}))
    item = UserMessageItem(
        id=new_id("message"),
        thread_id=thread.id,
        created_at=now(),
        content=message.content,
        attachments=attachments,
        quoted_text=message.quoted_text,
        inference_options=message.inference_options,
    )
    check_size(item, server.chat.max_message, field="params.input")
    return Plan(
        server,
        thread,
        items=[item],
        attachments=attachments,
        opening=[ThreadItemDoneEvent(item=item), _options(server)],
        message=item,
        entry=entry,
    )


class _Retry(Plan):
    """Answer a message again: the new answer takes the place of all that followed, once it is complete."""

    def __init__(
        self, server: "ChatrackServer", thread: ThreadMetadata, message: UserMessageItem, seq: int
    ) -> None:
        entry = chosen_before(server.assembly, message.inference_options)
        super().__init__(server, thread, opening=[_options(server)], message=message, entry=entry)
        self.retry = True
        self.before = seq + 1

    async def begin(self, turn: "Turn", lease: Lease) -> None:
        assert self.before is not None
        for record in await self.server.store.load_history(self.thread_id, turn.context, first=self.before):
            self.replaces.append(record.id)
            if not record.hidden:
                self.replaces_shown.append(record.id)


class _ClientToolOutput(Plan):
    def __init__(self, server: "ChatrackServer", thread: ThreadMetadata, output: object) -> None:
        super().__init__(server, thread, opening=[_options(server)])
        self.output = output

    async def begin(self, turn: "Turn", lease: Lease) -> None:
        store = self.server.store
        # The newest: of what was asked before it, the page has let go.
        for pause in reversed(await store.load_pauses(self.thread_id, turn.context)):
            call = await store.load_item(self.thread_id, pause.item_id, turn.context)
            if isinstance(call, ClientToolCallItem) and call.status == "pending":
                done = call.model_copy(update={"status": "completed", "output": self.output})
                await _complete(self, done, lease)
                return
        raise NotFound("No client tool call is waiting in this thread.")


class _StructuredInput(Plan):
    def __init__(
        self,
        server: "ChatrackServer",
        thread: ThreadMetadata,
        item_id: str,
        submission: StructuredInputSubmission,
    ) -> None:
        super().__init__(server, thread, opening=[_options(server)])
        self.item_id = item_id
        self.submission = submission

    async def begin(self, turn: "Turn", lease: Lease) -> None:
        item = await self.server.store.load_item(self.thread_id, self.item_id, turn.context)
        assert isinstance(item, StructuredInputItem)
        if item.status != "pending":
            raise BadRequest("These questions have been answered already.", field="params.item_id")
        await _complete(self, await self.server.apply_answers(item, self.submission), lease)


async def _complete(plan: Plan, item: ThreadItem, lease: Lease) -> None:
    """Store what the user has just completed, before anything is said of it."""
    record = item_to_record(item, turn_id=lease.turn_id)
    await plan.server.store.write(lease, [record], resolve=[item.id])
    plan.opening = [*plan.opening, ThreadItemReplacedEvent(item=item)]


class ActionPlan(Plan):
    """Carry out an action; what its handler returns replaces an item of the thread."""

    def __init__(
        self, server: "ChatrackServer", thread: ThreadMetadata, call: ActionCall, handler: ActionHandler
    ) -> None:
        super().__init__(server, thread, opening=[_options(server)])
        self.call = call
        self.result: ThreadItem | None = None
        self.handler = handler

    async def events(self, turn: "Turn") -> AsyncGenerator[ThreadStreamEvent]:
        """Let the handler do its work."""
        item = await self.handler(turn.tool_context, self.call)
        if item is not None and turn.transcript is not None:
            self.result = turn.transcript.own(item)
            yield ThreadItemReplacedEvent(item=self.result)
