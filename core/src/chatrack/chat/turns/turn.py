"""A turn: a task of the server's that persists what happens; the HTTP response only watches."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import structlog
from agents import RunResultStreaming
from chatkit.types import (
    Page,
    SDKHiddenContextItem,
    Thread,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

from chatrack.chat.agents.input_filter import InputFilter
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.agents.titles import ask_for_title
from chatrack.chat.agents.usage import UsageTracker
from chatrack.chat.errors import INTERRUPTED, TAKEN_OVER, describe
from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.request import Plan
from chatrack.chat.turns.writer import TurnWriter
from chatrack.clock import now
from chatrack.errors import ChatrackError, LeaseLost, RequestError, ThreadBusy, Unavailable
from chatrack.ids import new_id
from chatrack.interfaces import ItemRecord, Lease, RequestContext, ThreadRecord, TurnContext
from chatrack.interfaces.records import item_to_record, record_to_thread

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer

CancelReason = Literal["disconnected", "shutdown", "lost"]
Outcome = Literal["completed", "cancelled", "failed", "lost", "refused"]

_MARKERS = {
    "disconnected": "The user cancelled the previous response. Do not continue it unless asked.",
    "shutdown": "The previous response was interrupted before it was complete.",
    "failed": "The previous response failed before it was complete.",
}
_SETTLE = 5.0
_TITLE = 2.0
_AGAIN = 0.5
"""Seconds after which a database that was away is asked again."""

_log = structlog.get_logger(source="chatrack.turn")


class Turn:
    """One turn of one thread, from taking the thread to giving it back.

    Args:
        server: whose turn it is.
        context: the request that began it.
        plan: what it is to do.
        subscriber: who watches.
    """

    def __init__(
        self, server: "ChatrackServer", context: RequestContext, plan: Plan, subscriber: EventChannel
    ) -> None:
        self.id = new_id("turn")
        self.server = server
        self.context = context
        self.plan = plan
        self.transcript: TurnWriter | None = None
        """What it writes down; there once it has the thread."""
        self.cancelled: CancelReason | None = None
        self.running: RunResultStreaming | None = None
        """The Agents SDK's run, while there is one."""
        self.closing = False
        """Whether it is giving the thread back; from then on a lost lease is no loss."""
        self.error: BaseException | None = None
        """What its work raised, if it did."""
        self.outcome: Outcome = "failed"
        """How it ended, once it has."""
        self.cast = AgentResolver(server.assembly, plan.default_agent)
        self.replay = InputFilter(self.cast.bound)
        self.meter = UsageTracker(self.cast.bound, self.replay.note)
        """Counts the tokens that it uses."""
        self.log = _log.bind(
            request_id=context.request_id,
            tenant=context.user.tenant_id,
            user=context.user.id,
            thread=plan.thread_id,
            turn=self.id,
        )
        self._subscriber = subscriber
        self._inner: asyncio.Task[None] | None = None
        self._title: asyncio.Task[None] | None = None

    @property
    def tool_context(self) -> TurnContext:
        """What tools and actions get."""
        return TurnContext(
            request=self.context, thread=self.plan.thread, turn_id=self.id, emit=self.writing.emit
        )

    def cancel(self, reason: CancelReason) -> None:
        """Stop the model now; what there is of the answer is kept. Does nothing to a turn that is over."""
        if self.cancelled is None:
            self.cancelled = reason
            if self._inner is not None:
                self._inner.cancel()

    async def run(self) -> None:
        """Live. Called once, as a task of its own that nobody cancels."""
        started = time.perf_counter()
        try:
            if not await self._open():
                self.outcome = "refused"
                return
            self._inner = asyncio.create_task(self._work(), name=f"{self.id} work")
            if self.cancelled is not None:
                self._inner.cancel()
            await asyncio.wait([self._inner])
            await self._settle()
            self.error = None if self._inner.cancelled() else self._inner.exception()
            self.outcome = await self._close(self.error)
            await self._show_title()
        finally:
            self._subscriber.end()
            self.running = None
            duration = round((time.perf_counter() - started) * 1000)
            if self.outcome != "refused":
                self.log.info("turn", outcome=self.outcome, duration_ms=duration, **self.meter.told())

    @property
    def writing(self) -> TurnWriter:
        """What writes down what happens.

        It is there once the turn has the thread.
        """
        assert self.transcript is not None, "the turn has not begun"
        return self.transcript

    # -- beginning -----------------------------------------------------------------------------------------

    async def _open(self) -> bool:
        """Take the thread and say so; give False if the request has to be refused."""
        store = self.server.store
        try:
            lease = await self._acquire()
            try:
                await self.plan.begin(self, lease)
            except BaseException:
                await store.end_turn(lease)
                raise
        except Exception as error:  # noqa: BLE001  (the reader waits for an answer, and gets the error itself)
            self._subscriber.refuse(Unavailable(TAKEN_OVER) if isinstance(error, LeaseLost) else error)
            return False
        self.transcript = TurnWriter(store, lease, self._subscriber, uncommitted=self.plan.retry)
        for event in self.plan.opening:
            self.transcript.send(event)
        return True

    async def _acquire(self) -> Lease:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.server.chat.busy_wait
        marker = self._marker("shutdown")
        while True:
            if self.cancelled == "shutdown":
                raise Unavailable("The server is restarting.", retry_after=5)
            try:
                return await self.server.store.begin_turn(
                    self.plan.thread_id,
                    self.context,
                    turn_id=self.id,
                    seconds=self.server.chat.lease,
                    create=self.plan.create,
                    items=[item_to_record(item, turn_id=self.id) for item in self.plan.items],
                    attachments=self.plan.attachments,
                    after_interruption=[marker],
                )
            except ThreadBusy:
                if self.cancelled is not None or loop.time() >= deadline:
                    raise
            # The turn before may be on its way out: its user pressed Stop and wrote on.
            await self.server.turns.wait_for(self.plan.thread_id, deadline - loop.time(), but=self)

    # -- working -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        if self.plan.create is not None and self.server.chat.titles == "model":
            self._title = self.server.turns.aside(self._improve_title(self.plan.create), f"{self.id} title")
        async with contextlib.aclosing(self.plan.events(self)) as events:
            async for event in events:
                await self.writing.emit(event)

    async def _improve_title(self, created: ThreadRecord) -> None:
        message = self.plan.message
        text = "".join(part.text for part in message.content) if message else ""
        title = await ask_for_title(self.server.assembly.create_model(), text, self.server.chat)
        if title is None:
            return
        store = self.server.store
        try:
            # The user may have renamed the thread meanwhile: that name stays.
            if await store.replace_title(self.plan.thread_id, created.title, title, self.context):
                record = await store.load_record(self.plan.thread_id, self.context)
                thread = Thread(**record_to_thread(record).model_dump(exclude={"metadata"}), items=Page())
                self.writing.send(ThreadUpdatedEvent(thread=thread))
        except RequestError as error:
            self.log.warning("no title from the model", reason=error.title)

    async def _show_title(self) -> None:
        """Let a title that is about to come be seen. The turn is over: nothing else depends on this."""
        if self._title is not None and self.outcome == "completed" and self.cancelled is None:
            await asyncio.wait([self._title], timeout=_TITLE)

    async def _settle(self) -> None:
        """Wait for what was on its way when the work ended: writes, and the SDK's own task."""
        self.closing = True
        await self.writing.close()
        run = self.running.run_loop_task if self.running is not None else None
        if run is not None and not run.done():
            run.cancel()
            _, pending = await asyncio.wait([run], timeout=_SETTLE)
            if pending:
                self.log.warning("a tool does not stop when it is cancelled")

    # -- ending --------------------------------------------------------------------------------------------

    async def _close(self, error: BaseException | None) -> Outcome:
        """Give the thread back."""
        assert self._inner is not None
        if isinstance(error, LeaseLost) or self.cancelled == "lost":
            self.writing.send(describe(LeaseLost(self.id), self.log))
            return "lost"
        if self._inner.cancelled() and self.cancelled is None:
            error = asyncio.CancelledError("a tool or action was cancelled by something else")
        stopped = self._inner.cancelled() and error is None
        failure = None if error is None else describe(error, self.log)
        if self.cancelled == "shutdown" and stopped:
            failure = INTERRUPTED
        outcome: Outcome = (
            "completed" if error is None and not stopped else "cancelled" if stopped else "failed"
        )
        end = (
            self._commit
            if outcome == "completed"
            else functools.partial(self._abandon, (self.cancelled or "shutdown") if stopped else "failed")
        )
        try:
            await end()
        except Unavailable as away:
            self.writing.send(failure or describe(away, self.log))
            self._subscriber.end()
            await self._end_late(self._drop if self.plan.retry else end)
            return "failed"
        except Exception as late:  # noqa: BLE001  (whatever it is, the reader is told, and the thread given back)
            failure = failure or describe(late, self.log)
            outcome = "lost" if isinstance(late, LeaseLost) else "failed"
            try:  # without what may be wrong with it
                await self.server.store.end_turn(self.writing.lease, drop=self.plan.retry)
            except Exception as again:  # noqa: BLE001  (as above)
                self.log.warning("the thread was not given back", reason=type(again).__name__)
        if failure is not None:
            self.writing.send(failure)
        return outcome

    async def _commit(self) -> None:
        held_back, partial = self.writing.rest()
        # What was shown and never said to be done is done now.
        records = [self.writing.record(item) for item in partial]
        late = [record for record in self.writing.late if record.id not in self.plan.replaces]
        await self._end(
            [*held_back, *records, *late], replace=[*self.plan.replaces, *self.writing.late_removals]
        )
        for item in partial:
            self.writing.send(ThreadItemDoneEvent(item=item))
        self._say_removed(self.plan.replaces_shown)

    async def _abandon(self, reason: str) -> None:
        """Keep what there is of the answer, or, in a retry, nothing of it."""
        if self.plan.retry:
            await self._drop()
            self._say_removed(self.writing.shown)
            return
        held_back, partial = self.writing.rest()
        records = [self.writing.record(item) for item in partial]
        await self._end([*held_back, *records, self._marker(reason)])
        for item in partial:
            self.writing.send(ThreadItemDoneEvent(item=item))

    async def _drop(self) -> None:
        await self._end(drop=True)

    async def _end(self, items: Sequence[ItemRecord] = (), **how: Any) -> None:
        usage = self.meter.records(thread_id=self.plan.thread_id, turn_id=self.id)
        await self.server.store.end_turn(self.writing.lease, items, usage=usage, **how)

    async def _end_late(self, end: Callable[[], Awaitable[None]]) -> None:
        """Store what the user has seen when the database is back, if that is soon. Nobody watches any more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.server.chat.lease
        while loop.time() < deadline:
            await asyncio.sleep(_AGAIN)
            try:
                await end()
            except Unavailable:
                continue
            except ChatrackError as error:
                self.log.warning("the end of a turn was not stored", reason=type(error).__name__)
                return
            except Exception:  # nobody watches this task: it has to say so itself
                self.log.exception("the end of a turn was not stored")
                return
            self.log.info("the end of a turn was stored when the database was back")
            return
        self.log.error("the end of a turn was not stored: the database did not come back in time")

    def _say_removed(self, ids: list[str]) -> None:
        events: list[ThreadStreamEvent] = [ThreadItemRemovedEvent(item_id=item_id) for item_id in ids]
        for event in events:
            self.writing.send(event)

    def _marker(self, reason: str) -> ItemRecord:
        item = SDKHiddenContextItem(
            id=new_id("sdk_hidden_context"),
            thread_id=self.plan.thread_id,
            created_at=now(),
            content=_MARKERS[reason],
        )
        return item_to_record(item, turn_id=self.id)
