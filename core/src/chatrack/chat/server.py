"""The `ChatKitServer` of an assembly: every request type of ChatKit, answered or refused properly."""

from collections.abc import AsyncGenerator

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    ErrorEvent,
    StreamOptions,
    ThreadMetadata,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    UserMessageItem,
    is_streaming_req,
)

from chatrack.assembly import Assembly
from chatrack.chat.errors import Withheld
from chatrack.chat.queries import handle_query
from chatrack.chat.requests import parse_request
from chatrack.chat.turn_builder import TurnBuilder
from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.manager import TurnManager
from chatrack.chat.turns.request import TurnRequest
from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.chat.turns.turn import Turn
from chatrack.chat.turns.wire import encode_event
from chatrack.files.urls import PLACEHOLDER
from chatrack.interfaces import RequestContext, Store


class TurnStream(StreamingResult):
    """The encoded events of a turn, for one reader.

    Args:
        turn: the turn; it runs whether or not anyone reads.
        channel: where its events arrive.
    """

    def __init__(self, turn: Turn, channel: EventChannel) -> None:
        self.turn = turn
        self.channel = channel
        super().__init__(self._chunks())

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while (chunk := await self.channel.next()) is not None:
                yield chunk
        finally:
            self.channel.close()


class WithheldStream(StreamingResult):
    """The stream of input that a guardrail withheld: there is no turn, and one error event.

    Args:
        withheld: what the user is told.
    """

    def __init__(self, withheld: Withheld) -> None:
        event = ErrorEvent(code="custom", message=withheld.message, allow_retry=withheld.allow_retry)
        self.channel = EventChannel(limit=0)
        self.channel.put(encode_event(event))
        self.channel.end()
        super().__init__(self._chunks())

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while (chunk := await self.channel.next()) is not None:
            yield chunk


class ChatrackServer(ChatKitServer[RequestContext]):
    """Answers ChatKit requests.

    Args:
        assembly: what it is made of; its store is started.
    """

    store: Store

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly.store)
        chat = assembly.config.chat
        self.assembly = assembly
        self.turns = TurnManager(assembly.store, chat)
        self._chat = chat
        self._cancel_on_disconnect = chat.on_disconnect == "cancel"
        self._builder = TurnBuilder(assembly, StreamOptions(allow_cancel=self._cancel_on_disconnect))

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> "TurnStream | WithheldStream | NonStreamingResult":
        """Answer one request.

        Args:
            request: its JSON.
            context: the user.

        Returns:
            JSON, or the stream of a turn that has sent its first event: what is refused before that is raised here,
            so that it can be answered with an HTTP error. Input that a guardrail withheld gets a stream with an error.

        Raises:
            RequestError: the request is refused.
        """
        parsed = parse_request(request.encode() if isinstance(request, str) else bytes(request))
        if is_streaming_req(parsed):
            self.turns.check_open()
            try:
                return await self._start(*await self._builder.build(parsed, context), context)
            except Withheld as withheld:
                return WithheldStream(withheld)
        if isinstance(parsed, ThreadsSyncCustomActionReq):
            return NonStreamingResult(await self._run_sync_action(parsed, context))
        answer = await handle_query(
            parsed,
            context,
            store=self.store,
            chat=self._chat,
            transcriber=self.assembly.transcriber,
            revoke=self.turns.revoke,
            files=self.assembly.files,
        )
        return NonStreamingResult(self._add_urls(answer, context))

    def respond(  # type: ignore[override]  # a turn's session takes the place of the request's context, and text is `TextDelta`
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: TurnSession
    ) -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
        """Yield the events of the agents' answer, for a turn that has its thread.

        For code that drives a turn of its own: the turns of `process` get their handlers from the builder. ChatKit's
        own method gets the context of a request and yields text as pydantic events. An answer also needs
        the turn's writer, and text is too frequent for that.

        Args:
            thread: the thread.
            input_user_message: the message to answer; it is stored already.
            context: the turn.
        """
        options = None if input_user_message is None else input_user_message.inference_options
        return self._builder.agent_handler(context.context, thread, options).events(context)

    async def _run_sync_action(self, request: ThreadsSyncCustomActionReq, context: RequestContext) -> bytes:
        """Run an action as a turn whose events nobody sees, and return the JSON that answers it."""
        self.turns.check_open()
        turn_request, handler = await self._builder.build_action(request, context)
        stream = await self._start(turn_request, handler, context)
        async for _ in stream:
            pass
        return handler.sync_response(stream.turn)

    def _add_urls(self, answer: bytes, context: RequestContext) -> bytes:
        """Return JSON with URLs of the user's files in place of placeholders."""
        files = self.assembly.files
        if files is None or PLACEHOLDER not in answer:
            return answer
        return files.add_urls(answer.decode(), context.user).encode()

    async def _start(self, request: TurnRequest, handler: TurnHandler, context: RequestContext) -> TurnStream:
        """Start a turn, and wait for its first event.

        Raises:
            RequestError: the turn refused the request.
            Withheld: a guardrail tripped or failed; nothing is to be stored.
        """
        limits = self.assembly.limits
        token_budget = await limits.check_turn(
            self.store,
            context,
            creates_thread=request.create is not None,
            uses_models=handler.usage is not None,
        )
        request, handler = await self._builder.admit(request, handler, context)
        channel = EventChannel(self.assembly.config.server.stream_buffer)
        turn = Turn(
            request,
            handler,
            context=context,
            channel=channel,
            store=self.store,
            chat=self._chat,
            limits=limits,
            token_budget=token_budget,
            wait_for_thread=self.turns.wait_for_thread,
            add_urls=lambda event: self._add_urls(event, context),
        )
        if self._cancel_on_disconnect:
            channel.on_close = lambda: turn.cancel("disconnected")
        self.turns.start(turn)
        try:
            await channel.wait_for_first()
        except BaseException:
            channel.close()
            raise
        return TurnStream(turn, channel)
