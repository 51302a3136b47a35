"""The turn of an agent: it reads the thread's history, and answers."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from agents import RunConfig, Runner, RunResultStreaming
from agents.run_error_handlers import RunErrorHandlerInput, RunErrorHandlerResult, RunErrorHandlers
from chatkit.types import (
    NoticeEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatrack.chat.agents.attachment_parts import AttachmentParts
from chatrack.chat.agents.events import EventConverter
from chatrack.chat.agents.generated_images import keep_image
from chatrack.chat.agents.guardrail_calls import GuardrailCalls
from chatrack.chat.agents.history import ThreadHistory
from chatrack.chat.agents.input_filter import InputFilter
from chatrack.chat.agents.input_guard import InputGuard, InputReplaced
from chatrack.chat.agents.output_guard import OutputGuard
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.agents.titles import TitleGenerator, rename_thread
from chatrack.chat.agents.usage import UsageTracker
from chatrack.chat.agents.user_input import UserInput
from chatrack.chat.errors import Withheld
from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.chat.turns.withheld import PLACEHOLDER
from chatrack.chat.turns.writer import TurnWriter
from chatrack.config import ChatTable
from chatrack.errors import ModelFailure, RequestError
from chatrack.files.files import Files
from chatrack.interfaces import RequestContext, Store, TurnContext
from chatrack.models.delta_fast_path import DELTA_FAST_PATH, DeltaFastPath
from chatrack.models.failures import as_model_failure


class AgentHandler(TurnHandler):
    """Runs the entry agent, and the agents that it hands over to.

    Args:
        resolver: the agents.
        context: the request of the turn.
        thread: the thread of the turn.
        store: where the thread is.
        chat: the settings `[chat]`.
        titles: names new threads, if a model is to do so.
        user_input: the user's reply that the turn begins with, if the agent waited for one.
        files: keeps generated images, if the server takes files.
        attachments: reads the files of the thread, if the server takes files.
    """

    usage: UsageTracker

    def __init__(
        self,
        resolver: AgentResolver,
        *,
        context: RequestContext,
        thread: ThreadMetadata,
        store: Store,
        chat: ChatTable,
        titles: TitleGenerator | None = None,
        user_input: UserInput | None = None,
        files: Files | None = None,
        attachments: AttachmentParts | None = None,
    ) -> None:
        self._resolver = resolver
        self._store = store
        self._chat = chat
        self._titles = titles
        self._user_input = user_input
        self._files = files
        self._attachments = attachments
        self._input_filter = InputFilter(resolver, chat.link_hosts)
        self._context = context
        self._thread = thread
        self._guardrails = GuardrailCalls(context, thread)
        self._input_guard = InputGuard(resolver, self._guardrails)
        self._output_guard = OutputGuard(self._guardrails, chat.link_hosts)
        self._input_filter.replaced_texts = self._output_guard.replaced_texts
        self.usage = UsageTracker(
            resolver,
            self._input_filter.record,
            before_call=self._input_guard.before_model_call,
            after_call=self._output_guard.after_model_call if resolver.has_output_guardrails else None,
        )
        self._run: RunResultStreaming | None = None
        self._writer: TurnWriter | None = None

    async def admit(self, message: UserMessageItem) -> tuple[UserMessageItem, list[NoticeEvent]]:
        """Have a message checked by the guardrails of the entry agent, before it is stored.

        Returns:
            The message to store, and what to tell the user.

        Raises:
            Withheld: a guardrail tripped or failed.
        """
        message = await self._input_guard.admit(message, self._resolver.default_agent)
        return message, self._guardrails.take_notices()

    async def prepare(self, session: TurnSession) -> Sequence[ThreadStreamEvent]:
        """Complete, check and store the item that waited for the user.

        Raises:
            RequestError: no item waits for this input.
            Withheld: a guardrail tripped or failed.
        """
        if self._user_input is None:
            return ()
        item = await self._user_input.complete(session)
        item = await self._input_guard.admit(item, self._resolver.default_agent)
        await session.writer.store_user_input(item)
        return [ThreadItemReplacedEvent(item=item), *self._guardrails.take_notices()]

    async def events(self, session: TurnSession) -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
        """Run the agent, and yield its events.

        Raises:
            ModelFailure: a model failed.
            TooManyRequests: the agent would need more tokens than are left.
        """
        created = session.request.create
        if created is not None and self._titles is not None:
            session.spawn(self._titles.improve(session, created, self._check_title), "title")
        writer = self._writer = session.writer
        converter = EventConverter(session.thread_id, self._resolver, self._chat, writer.provider_metadata)
        guard = self._output_guard if self._resolver.has_output_guardrails else None

        def deliver(event: Any) -> bool:
            return writer.send_delta(converter.text_delta(event))

        def deliver_unguarded(event: Any) -> bool:
            return not converter.guarded and deliver(event)

        fast_path = DeltaFastPath(deliver if guard is None else deliver_unguarded)
        DELTA_FAST_PATH.set(fast_path)
        self.usage.budget = session.token_budget
        if self._input_guard.item is None:
            # Nothing was admitted, as in a retry: the entry agent's guardrails check the message before its first call.
            self._input_guard.item = session.request.message
        history = ThreadHistory(self._store, self._chat.history_tokens, session, self._attachments)
        items = await history.load()
        agent = self._resolver.default_agent.agent
        # What the Agents SDK calls turns: calls of a model.
        max_turns = self._resolver.default_agent.spec.max_turns
        while True:  # once, and again if the input was too long, or a guardrail has replaced some of it
            run = self._run = Runner.run_streamed(
                agent,
                items,
                context=session.tool_context,
                max_turns=max_turns,
                run_config=self._run_config(),
                hooks=self.usage,
                error_handlers=_ERROR_HANDLERS,
            )
            try:
                async with contextlib.aclosing(run.stream_events()) as events:  # type: ignore[type-var]  # a generator
                    try:
                        async for event in events:
                            events_to_send: Sequence[ThreadStreamEvent | TextDelta] = converter.convert(event)
                            if guard is not None:
                                events_to_send = await guard.check(events_to_send, converter.agent)
                            for converted in events_to_send:
                                yield converted
                            if event.type == "raw_response_event":
                                self.usage.count_event(event.data)
                                if self._files is not None and not converter.guarded:
                                    shown = await keep_image(event.data, self._files, session)
                                    if shown is not None:
                                        yield shown
                                if event.data.type == "response.completed":
                                    await writer.flush()
                                    if guard is not None:
                                        guard.response_checked()
                                fast_path.last_consumed = event.data
                    except BaseException:
                        # Without this, closing the stream would wait for the model and its tools to finish.
                        run.cancel()
                        raise
                break
            except InputReplaced as replaced:
                history.replace(replaced.item)
                yield ThreadItemReplacedEvent(item=replaced.item)
                for notice in self._guardrails.take_notices():
                    yield notice
            except Withheld as withheld:
                if withheld.sent is not None:
                    await self._withhold_title(session)
                raise
            except Exception as error:
                failure = as_model_failure(error)
                if failure is None:
                    raise
                failure.model = converter.model
                self.usage.end_call(_drafted_characters(writer), failed=True)
                # The limit of a model is not known beforehand, and may be below `history_tokens`.
                if failure.fault != "context_length_exceeded" or not await history.shorten():
                    raise failure from error
                session.log.info("history shortened: too long for the model", model=converter.model)
            items = [*await history.load(), *[item.to_input_item() for item in run.new_items]]
            agent, max_turns = run.current_agent, max(1, max_turns - run.current_turn + 1)
        for converted in converter.finish():
            yield converted
        if converter.refused:
            failure = ModelFailure("refused")
            failure.model = converter.model
            raise failure

    async def drain(self) -> None:
        """Cancel the Agents SDK's run, and wait for its task."""
        task = None if self._run is None else self._run.run_loop_task
        try:
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        finally:
            if self._writer is not None:
                self.usage.end_call(_drafted_characters(self._writer))

    async def _withhold_title(self, session: TurnSession) -> None:
        """Take back a title that was made of a message which must not stay."""
        created = session.request.create
        if created is None:
            return
        titles = [created.title, None if self._titles is None else self._titles.withhold()]
        try:
            for title in titles:
                if title is not None and await rename_thread(self._store, session, title, PLACEHOLDER):
                    return
        except RequestError as error:
            session.log.warning("thread not renamed", reason=error.title)

    async def _check_title(self, title: str) -> str:
        # With calls of its own: nobody would send the notices of a turn that has ended.
        calls = GuardrailCalls(self._context, self._thread)
        return await calls.check_output(title, self._resolver.default_agent)

    def _run_config(self) -> RunConfig:
        return RunConfig(
            tracing_disabled=True,  # by default traces are exported to OpenAI, whoever provides the model
            call_model_input_filter=self._input_filter,
            tool_not_found_behavior="return_error_to_model",
        )


def _drafted_characters(writer: TurnWriter) -> int:
    """Return the length of the text of all messages that are being streamed."""
    return sum(draft.count_characters() for draft in writer.drafts.values())


def _on_refusal(error: RunErrorHandlerInput[TurnContext]) -> RunErrorHandlerResult:
    # The run ends as usual, so that what the model said is kept; then the handler raises `ModelFailure`.
    return RunErrorHandlerResult(final_output="", include_in_history=False)


_ERROR_HANDLERS: RunErrorHandlers[TurnContext] = {"model_refusal": _on_refusal}
