"""From a streaming request to a turn: what is asked for and who may ask are checked before the thread is locked."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from chatkit.types import (
    Attachment,
    InferenceOptions,
    NoticeEvent,
    Page,
    StreamingReq,
    StreamOptions,
    StreamOptionsEvent,
    StructuredInputItem,
    Thread,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
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
)

from chatrack.assembly import Assembly
from chatrack.chat.actions import CustomActionHandler, find_action
from chatrack.chat.agents.attachment_parts import AttachmentParts
from chatrack.chat.agents.handler import AgentHandler
from chatrack.chat.agents.refusal import RefusalHandler
from chatrack.chat.agents.resolver import AgentResolver, apply_inference_options
from chatrack.chat.agents.titles import TitleGenerator, title_from_message
from chatrack.chat.agents.user_input import ClientToolOutput, StructuredAnswers, UserInput
from chatrack.chat.errors import Withheld
from chatrack.chat.requests import check_result, check_size, clean_answers, clean_message
from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.request import TurnRequest
from chatrack.chat.turns.withheld import withheld_message
from chatrack.clock import now
from chatrack.errors import BadRequest, Forbidden, RequestError
from chatrack.ids import new_id
from chatrack.interfaces import RequestContext
from chatrack.interfaces.records import record_to_item, thread_to_record

RequestAndHandler: TypeAlias = tuple[TurnRequest, TurnHandler]


class TurnBuilder:
    """Builds what a turn needs. Nothing is stored.

    Args:
        assembly: the store, the agents and the actions.
        stream_options: sent at the beginning of every turn.
    """

    def __init__(self, assembly: Assembly, stream_options: StreamOptions) -> None:
        self._assembly = assembly
        self._store = assembly.store
        self._chat = assembly.config.chat
        files = assembly.files
        self._attachment_parts = (
            None if files is None else AttachmentParts(files, assembly.config.files.model_bytes)
        )
        self._options_event = StreamOptionsEvent(stream_options=stream_options)

    async def build(self, request: StreamingReq, context: RequestContext) -> RequestAndHandler:
        """Build the turn of a request.

        Raises:
            RequestError: the request is refused.
        """
        match request:
            case ThreadsCreateReq(params=params):
                return await self._create_thread(params.input, context)
            case ThreadsAddUserMessageReq(params=params):
                thread = await self._store.load_thread(params.thread_id, context)
                return await self._add_message(thread, params.input, context)
            case ThreadsRetryAfterItemReq(params=params):
                thread = await self._store.load_thread(params.thread_id, context)
                return await self._retry(thread, params.item_id, context)
            case ThreadsAddClientToolOutputReq(params=params):
                thread = await self._store.load_thread(params.thread_id, context)
                check_result(params.result)
                output = ClientToolOutput(self._store, params.result)
                return self._without_message(thread), self.agent_handler(context, thread, user_input=output)
            case ThreadsAddStructuredInputReq(params=params):
                thread = await self._store.load_thread(params.thread_id, context)
                item = await self._store.load_item(thread.id, params.item_id, context)
                if not isinstance(item, StructuredInputItem):
                    raise BadRequest("This item does not ask for input.", field="params.item_id")
                submission = clean_answers(params.input, self._chat)
                answers = StructuredAnswers(self._store, item.id, submission)
                return self._without_message(thread), self.agent_handler(context, thread, user_input=answers)
            case ThreadsCustomActionReq():
                return await self.build_action(request, context)
            case _:
                assert_never(request)

    async def build_action(
        self, request: ThreadsCustomActionReq | ThreadsSyncCustomActionReq, context: RequestContext
    ) -> tuple[TurnRequest, CustomActionHandler]:
        """Build the turn of an action, whether its client waits for a stream or for one item.

        Raises:
            RequestError: the request is refused.
        """
        thread = await self._store.load_thread(request.params.thread_id, context)
        handler = await find_action(request, context, store=self._store, actions=self._assembly.actions)
        return self._without_message(thread), handler

    async def admit(
        self, request: TurnRequest, handler: TurnHandler, context: RequestContext
    ) -> tuple[TurnRequest, TurnHandler]:
        """Have the message of a turn checked by the guardrails of its entry agent. Limits are checked before: guardrails may cost money.

        Returns:
            The turn to start: its message may have been changed, or withheld.

        Raises:
            TooManyRequests: guardrails are checking enough of this user's messages already.
            Withheld: a guardrail tripped or failed; nothing is to be stored.
        """
        message = request.message
        if not request.items or message is None or not isinstance(handler, AgentHandler):
            return request, handler
        answering: TurnHandler = handler
        notices: Sequence[NoticeEvent] = ()
        try:
            with self._assembly.limits.admitting(context.user):
                admitted, notices = await handler.admit(message)
        except Withheld as withheld:
            if not withheld.refusal:
                raise
            admitted, answering = withheld_message(message), RefusalHandler(withheld.message)
        if admitted is not message or notices:
            request = self._with_message(
                request.thread, admitted, notices, creates_thread=request.create is not None
            )
        return request, answering

    def agent_handler(
        self,
        context: RequestContext,
        thread: ThreadMetadata,
        options: InferenceOptions | None = None,
        *,
        strict: bool = False,
        user_input: UserInput | None = None,
    ) -> AgentHandler:
        """Return a handler for one turn of the agents.

        Args:
            context: the user, and the agent that the user's credentials are bound to.
            thread: the thread of the turn.
            options: the user's choice of model and tool.
            strict: whether to refuse a choice that is not offered, instead of ignoring it.
            user_input: the input that the agent waited for.

        Raises:
            BadRequest: the choice is not offered.
            Forbidden: the user has none of the roles that the entry agent asks for.
        """
        agents = self._assembly.agents_by_role.agents_for(context.user.roles)
        entry_agent = agents.get(self._assembly.entry_agent(context))
        if entry_agent is None:
            raise Forbidden("This chat is open to other roles only.")
        entry_agent = apply_inference_options(
            entry_agent,
            options or InferenceOptions(),
            selectable=self._assembly.selectable,
            strict=strict,
        )
        return AgentHandler(
            AgentResolver(entry_agent, agents.values()),
            context=context,
            thread=thread,
            store=self._store,
            chat=self._chat,
            titles=self._title_generator() if self._chat.titles == "model" else None,
            user_input=user_input,
            files=self._assembly.files,
            attachments=self._attachment_parts,
        )

    async def _create_thread(
        self, message_input: UserMessageInput, context: RequestContext
    ) -> RequestAndHandler:
        thread = ThreadMetadata(id=new_id("thread"), created_at=now())
        return await self._add_message(thread, message_input, context, creates_thread=True)

    async def _add_message(
        self,
        thread: ThreadMetadata,
        message_input: UserMessageInput,
        context: RequestContext,
        *,
        creates_thread: bool = False,
    ) -> RequestAndHandler:
        message = clean_message(message_input, self._chat)
        handler = self.agent_handler(context, thread, message.inference_options, strict=True)
        attachments = await self._attachments(message.attachments, thread, context)
        item = UserMessageItem(
            id=new_id("message"),
            thread_id=thread.id,
            created_at=now(),
            content=message.content,
            attachments=attachments,
            quoted_text=message.quoted_text,
            inference_options=message.inference_options,
        )
        check_size(item, self._chat.max_message, field="params.input")
        return self._with_message(thread, item, creates_thread=creates_thread), handler

    async def _attachments(
        self, ids: Sequence[str], thread: ThreadMetadata, context: RequestContext
    ) -> list[Attachment]:
        """Load the attachments of a message, whose files have to be here."""
        limit = self._assembly.config.files.max_files
        if len(ids) > limit:
            raise BadRequest(
                f"A message may have no more than {limit} files.", field="params.input.attachments"
            )
        files = self._assembly.files
        load = self._store.load_attachment if files is None else files.ready
        attachments = []
        for attachment_id in ids:
            try:
                attachment = await load(attachment_id, context)
            except RequestError as error:
                error.field = error.field or "params.input.attachments"
                raise
            attachments.append(attachment.model_copy(update={"thread_id": thread.id}))
        return attachments

    def _with_message(
        self,
        thread: ThreadMetadata,
        item: UserMessageItem,
        notices: Sequence[NoticeEvent] = (),
        *,
        creates_thread: bool,
    ) -> TurnRequest:
        """Return the request of a turn that begins with a message."""
        initial_events: list[ThreadStreamEvent] = [
            ThreadItemDoneEvent(item=item),
            self._options_event,
            *notices,
        ]
        if creates_thread:
            thread = thread.model_copy(update={"title": title_from_message(item, self._chat)})
            initial_events.insert(0, ThreadCreatedEvent(thread=Thread(**thread.model_dump(), items=Page())))
        return TurnRequest(
            thread=thread,
            create=thread_to_record(thread) if creates_thread else None,
            items=[item],
            attachments=item.attachments,
            initial_events=initial_events,
            message=item,
        )

    async def _retry(
        self, thread: ThreadMetadata, item_id: str, context: RequestContext
    ) -> RequestAndHandler:
        record = await self._store.load_item_record(thread.id, item_id, context)
        message = record_to_item(record)
        if not isinstance(message, UserMessageItem):
            raise BadRequest("Only a user's message can be retried.", field="params.item_id")
        request = TurnRequest(
            thread=thread,
            initial_events=[self._options_event],
            message=message,
            history_end_seq=record.seq + 1,
        )
        return request, self.agent_handler(context, thread, message.inference_options)

    def _without_message(self, thread: ThreadMetadata) -> TurnRequest:
        """Return the request of a turn that begins without a message."""
        return TurnRequest(thread=thread, initial_events=[self._options_event])

    def _title_generator(self) -> TitleGenerator:
        return TitleGenerator(
            self._store,
            max_title=self._chat.max_title,
            model_name=self._assembly.default_agent.model,
            create_model=self._assembly.create_model,
        )
