"""The `ChatKitServer` of the assembly: every request type of ChatKit, answered or refused properly."""

from collections.abc import AsyncGenerator

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    FeedbackKind,
    StreamOptions,
    StructuredInputItem,
    StructuredInputSubmission,
    SyncCustomActionResponse,
    ThreadMetadata,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    UserMessageItem,
    is_streaming_req,
)

from chatrack.assembly import Assembly
from chatrack.chat import queries, turn_builder
from chatrack.chat.agents.handler import answer
from chatrack.chat.requests import parse
from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.manager import TurnManager
from chatrack.chat.turns.request import Plan
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.chat.turns.turn import Turn
from chatrack.errors import RequestError
from chatrack.interfaces import RequestContext, Store
from chatrack.interfaces.records import dump, is_hidden


class TurnStream(StreamingResult):
    """The events of a turn, encoded, for whoever watches it.

    Args:
        turn: the turn; it is the server's, and does not depend on being watched.
        subscriber: where its events arrive.
    """

    def __init__(self, turn: Turn, subscriber: EventChannel) -> None:
        self.turn = turn
        self.subscriber = subscriber
        super().__init__(self._chunks())

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while (chunk := await self.subscriber.next()) is not None:
                yield chunk
        finally:
            self.subscriber.leave()


class ChatrackServer(ChatKitServer[RequestContext]):
    """Answers ChatKit requests over an assembly.

    Args:
        assembly: what it is made of; its store is started.
    """

    store: Store

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly.store)
        self.assembly = assembly
        self.chat = assembly.config.chat
        self.stream_options = StreamOptions(allow_cancel=self.chat.on_disconnect == "cancel")
        self.turns = TurnManager(self)

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> TurnStream | NonStreamingResult:
        """Answer one request.

        Args:
            request: its JSON.
            context: who is asking.

        Returns:
            JSON, or the stream of a turn whose first event is there.

        Raises:
            RequestError: the request is refused.
        """
        parsed = parse(request.encode() if isinstance(request, str) else bytes(request))
        if not is_streaming_req(parsed):
            return NonStreamingResult(await queries.answer(self, parsed, context))
        self.turns.check_open()
        return await self._watch(await turn_builder.plan(self, parsed, context), context)

    def respond(  # type: ignore[override]  # what a response needs is its turn; the request is in it
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Turn
    ) -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
        """Let the entry agent answer.

        Args:
            thread: the thread.
            input_user_message: the message to answer; it is in the store already.
            context: the turn.
        """
        return answer(self, context)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    async def sync_action_now(self, request: ThreadsSyncCustomActionReq, context: RequestContext) -> bytes:
        """Carry an action out as a turn of its own, and give the item that it changed.

        Raises:
            RequestError: it is refused, or the handler failed.
        """
        self.turns.check_open()
        thread = await self.store.load_thread(request.params.thread_id, context)
        call, handler = await turn_builder.action(self, request, context)
        plan = turn_builder.ActionPlan(self, thread, call, handler)
        stream = await self._watch(plan, context)
        async for _ in stream:
            pass
        if stream.turn.outcome != "completed":
            error = stream.turn.error
            raise error if isinstance(error, RequestError) else RequestError("The action failed.")
        item = None if plan.result is None or is_hidden(plan.result) else plan.result
        return dump(SyncCustomActionResponse(updated_item=item)).encode()

    async def apply_answers(
        self, item: StructuredInputItem, submission: StructuredInputSubmission
    ) -> StructuredInputItem:
        """Give an item with the user's answers filled in; those to questions that were not asked are dropped."""
        asked = {question.id for question in item.inputs}
        answers = {name: answer for name, answer in submission.answers.items() if name in asked}
        submission = submission.model_copy(update={"answers": answers})
        return await self._apply_structured_input_submission(item, submission)

    async def _watch(self, plan: Plan, context: RequestContext) -> TurnStream:
        subscriber = EventChannel(self.assembly.config.server.stream_buffer)
        turn = Turn(self, context, plan, subscriber)
        if self.chat.on_disconnect == "cancel":
            subscriber.on_leave = lambda: turn.cancel("disconnected")
        self.turns.start(turn)
        try:
            await subscriber.first()
        except BaseException:
            subscriber.leave()
            raise
        return TurnStream(turn, subscriber)
