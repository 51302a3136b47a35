"""A turn: a task of the server that persists what happens; the HTTP response only subscribes to it."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from chatrack.chat.errors import INTERRUPTED, RESTARTING, TAKEN_OVER, Withheld, to_error_event
from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.interruption import Interruption, interruption_marker
from chatrack.chat.turns.request import TurnRequest
from chatrack.chat.turns.retry import RetryWriter
from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.writer import TurnWriter
from chatrack.config import ChatTable
from chatrack.errors import ChatrackError, LeaseLost, ThreadBusy, Unavailable
from chatrack.ids import new_id
from chatrack.interfaces import Lease, RequestContext, Store, UsageRecord
from chatrack.interfaces.records import item_to_record
from chatrack.limits import Limits, TokenBudget

CancelReason = Literal["disconnected", "shutdown", "lost"]
Outcome = Literal["completed", "cancelled", "failed", "lost", "refused", "withheld"]

DRAIN_TIMEOUT = 5.0
"""Seconds that a handler gets to stop what still runs after its turn's work has ended."""

SPAWNED_TIMEOUT = 2.0
"""Seconds that a completed turn's stream stays open for what spawned tasks send, such as a better title."""

RETRY_INTERVAL = 0.5
"""Seconds between attempts to store the end of a turn while the database is unavailable."""

_log = structlog.get_logger(source="chatrack.turn")


class Turn:
    """One turn of one thread, from taking the lease to giving it back.

    Args:
        request: what to store and send at first.
        handler: does the work.
        context: the user's request.
        channel: where events are sent.
        store: where the thread is.
        chat: the settings `[chat]`.
        limits: how many turns the user may have.
        token_budget: what the turn may use of tokens; None if that is not limited.
        wait_for_thread: waits until the thread may be free, at most the given seconds.
        add_urls: puts URLs into the JSON of an event in place of the placeholders of files.
    """

    def __init__(
        self,
        request: TurnRequest,
        handler: TurnHandler,
        *,
        context: RequestContext,
        channel: EventChannel,
        store: Store,
        chat: ChatTable,
        limits: Limits,
        token_budget: TokenBudget | None,
        wait_for_thread: "Callable[[Turn, float], Awaitable[None]]",
        add_urls: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.id = new_id("turn")
        self.thread_id = request.thread.id
        self.session: TurnSession | None = None
        """Set while, and after, the turn has its thread."""
        self.cancel_reason: CancelReason | None = None
        self.closing = False
        """Whether the turn is ending: a lease that is gone is then no reason to cancel it."""
        self.begin_unconfirmed = False
        """Whether the store may have begun this turn although it reported a failure."""
        self.error: BaseException | None = None
        """What the work raised, if it did."""
        self.outcome: Outcome = "failed"
        """How the turn ended, once it has."""
        self.log = _log.bind(
            request_id=context.request_id,
            tenant=context.user.tenant_id,
            user=context.user.id,
            thread=self.thread_id,
            turn=self.id,
        )
        self._request = request
        self._handler = handler
        self._context = context
        self._channel = channel
        self._store = store
        self._chat = chat
        self._limits = limits
        self._token_budget = token_budget
        self._wait_for_thread = wait_for_thread
        self._add_urls = add_urls
        self._work_task: asyncio.Task[None] | None = None

    def cancel(self, reason: CancelReason) -> None:
        """Stop the work now. What becomes of the partial answer depends on the reason; see `_close`."""
        if self.cancel_reason is None:
            self.cancel_reason = reason
            if self._work_task is not None:
                self._work_task.cancel()

    def give_up(self) -> None:
        """End the stream with an error event although the turn has not ended: the server stops now."""
        if self.session is None:
            self._channel.fail(Unavailable(RESTARTING, retry_after=5))
        else:
            self.session.writer.stop()
            self.session.writer.send(INTERRUPTED)
        self._channel.end()

    async def run(self) -> None:
        """Run the turn. Called once, in a task that is cancelled only when the server gives up on it."""
        started = time.perf_counter()
        try:
            self.session = await self._open()
            if self.session is None:
                self.outcome = "refused"
                return
            self._work_task = asyncio.create_task(self._work(self.session), name=f"{self.id} work")
            if self.cancel_reason is not None:
                self._work_task.cancel()
            await asyncio.wait([self._work_task])
            await self._drain(self.session)
            self.error = None if self._work_task.cancelled() else self._work_task.exception()
            self.outcome = await self._close(self.session, self._work_task)
            if self.session.spawned and self.outcome == "completed" and self.cancel_reason is None:
                await asyncio.wait(self.session.spawned, timeout=SPAWNED_TIMEOUT)
        finally:
            self._channel.end()
            if self.outcome != "refused":
                duration = round((time.perf_counter() - started) * 1000)
                usage = self._handler.usage
                fields = {} if usage is None else usage.log_fields()
                self.log.info("turn", outcome=self.outcome, duration_ms=duration, **fields)

    async def withdraw(self) -> None:
        """Undo the beginning of a turn that was refused, in case the store has begun it all the same.

        Raises:
            Unavailable: the database cannot be reached.
        """
        request = self._request
        undone = await self._store.withdraw_turn(
            self.thread_id,
            self._context,
            turn_id=self.id,
            created=request.create is not None,
            items=[item.id for item in request.items],
            attachments=request.attachments,
        )
        if undone:
            self.log.info("turn withdrawn: its client was told that it did not begin")

    # -- beginning -----------------------------------------------------------------------------------------

    async def _open(self) -> TurnSession | None:
        """Take the thread and send the first events; return None if the request has to be refused."""
        try:
            lease = await self._acquire()
            try:
                writer = await self._create_writer(lease)
                writer.add_urls = self._add_urls
                session = TurnSession(
                    turn_id=self.id,
                    context=self._context,
                    request=self._request,
                    writer=writer,
                    log=self.log,
                    token_budget=self._token_budget,
                )
                events = await self._handler.prepare(session)
            except Exception:
                await self._release_unused(lease)
                raise
        except Exception as error:  # noqa: BLE001  (whoever reads the channel gets the error itself)
            self._channel.fail(Unavailable(TAKEN_OVER) if isinstance(error, LeaseLost) else error)
            return None
        for event in (*self._request.initial_events, *events):
            writer.send(event)
        return session

    async def _acquire(self) -> Lease:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._chat.busy_wait
        request = self._request
        marker = interruption_marker("shutdown", thread_id=self.thread_id, turn_id=self.id)
        while True:
            if self.cancel_reason == "shutdown":
                raise Unavailable(RESTARTING, retry_after=5)
            try:
                async with self._limits.beginning(self._context.user) as max_turns:
                    return await self._store.begin_turn(
                        self.thread_id,
                        self._context,
                        turn_id=self.id,
                        seconds=self._chat.lease,
                        create=request.create,
                        items=[item_to_record(item, turn_id=self.id) for item in request.items],
                        attachments=request.attachments,
                        after_interruption=[marker],
                        max_turns=max_turns,
                    )
            except ThreadBusy:
                if self.cancel_reason is not None or loop.time() >= deadline:
                    raise
            except Unavailable:
                self.begin_unconfirmed = True  # only the acknowledgement may have been lost
                raise
            # The turn before this one may be ending: its user pressed Stop and sent another message.
            await self._wait_for_thread(self, deadline - loop.time())

    async def _create_writer(self, lease: Lease) -> TurnWriter:
        first_seq = self._request.history_end_seq
        if first_seq is None:
            return TurnWriter(self._store, lease, self._channel)
        replaced = await self._store.load_history(self.thread_id, self._context, first=first_seq)
        return RetryWriter(self._store, lease, self._channel, replaced)

    async def _release_unused(self, lease: Lease) -> None:
        """Release the lease of a turn whose handler refused the request."""
        try:
            await self._store.end_turn(lease)
        except Unavailable:
            self.begin_unconfirmed = True  # to be withdrawn when the database is back
        except LeaseLost:
            pass

    # -- working -------------------------------------------------------------------------------------------

    async def _work(self, session: TurnSession) -> None:
        async with contextlib.aclosing(self._handler.events(session)) as events:
            async for event in events:
                await session.writer.emit(event)

    async def _drain(self, session: TurnSession) -> None:
        """Wait for what had begun when the work ended: writes, and the handler's own tasks."""
        self.closing = True
        await session.writer.close()
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await self._handler.drain()
        except TimeoutError:
            self.log.warning("the handler did not stop in time; a tool may ignore its cancellation")

    # -- ending --------------------------------------------------------------------------------------------

    async def _close(self, session: TurnSession, task: asyncio.Task[None]) -> Outcome:
        """Store what is left, give the thread back, and send what went wrong, if anything did."""
        writer, error = session.writer, self.error
        if isinstance(error, LeaseLost) or self.cancel_reason == "lost":
            writer.send(to_error_event(LeaseLost(self.id), self.log))
            self._channel.end()
            await self._save_usage()
            return "lost"
        if task.cancelled() and self.cancel_reason is None:
            error = asyncio.CancelledError("a tool or action was cancelled by something else")
        stopped = task.cancelled() and error is None
        error_event = None if error is None else to_error_event(error, self.log)
        if self.cancel_reason == "shutdown" and stopped:
            error_event = INTERRUPTED
        outcome: Outcome
        if isinstance(error, Withheld):
            outcome = "withheld"
            # A retry leaves the old answer, which a refusal must not follow.
            refusal = error.message if error.refusal and not writer.uncommitted else None
            error_event = error_event if refusal is None else None
            # A message from before a retry is not lost because a guardrail does not work today.
            sent = None if error.failed and writer.uncommitted else error.sent
            end = functools.partial(writer.withhold, refusal, sent, self._usage_records())
        elif error is None and not stopped:
            outcome, end = "completed", functools.partial(writer.commit, self._usage_records())
        else:
            outcome = "cancelled" if stopped else "failed"
            reason: Interruption = "failed"
            if stopped:
                reason = "shutdown" if self.cancel_reason == "shutdown" else "disconnected"
            end = functools.partial(writer.abandon, reason, self._usage_records())
        try:
            await end()
        except Unavailable as unavailable:
            writer.send(error_event or to_error_event(unavailable, self.log))
            self._channel.end()
            await self._end_when_available(end)
            return "failed"
        except Exception as end_error:  # noqa: BLE001  (whatever it is, the client is told, and the thread given back)
            writer.send(error_event or to_error_event(end_error, self.log))
            self._channel.end()
            await self._release(writer)
            await self._save_usage()
            return "lost" if isinstance(end_error, LeaseLost) else "failed"
        if error_event is not None:
            writer.send(error_event)
        return outcome

    async def _end_when_available(self, end: Callable[[], Awaitable[None]]) -> None:
        """Store the end of a turn when the database is back, if that is soon. Its stream has ended."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._chat.lease
        while loop.time() < deadline:
            await asyncio.sleep(RETRY_INTERVAL)
            try:
                await end()
            except Unavailable:
                continue
            except ChatrackError as error:
                self.log.warning("turn result not saved", reason=type(error).__name__)
                if isinstance(error, LeaseLost):  # lost meanwhile, or an earlier attempt has succeeded
                    await self._save_usage()
                return
            except Exception:  # nobody awaits this task: it has to log the error itself
                self.log.exception("turn result not saved")
                return
            self.log.info("turn result saved: the database is available again")
            return
        self.log.error("turn result not saved: the database stayed unavailable", seconds=self._chat.lease)

    async def _release(self, writer: TurnWriter) -> None:
        """Release the thread without the turn's last items: one of them may be what the store refuses."""
        try:
            await writer.release()
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001  (the lease expires by itself)
            self.log.warning("the thread was not given back", reason=type(error).__name__)

    def _usage_records(self) -> list[UsageRecord]:
        usage = self._handler.usage
        return [] if usage is None else list(usage.records(thread_id=self.thread_id, turn_id=self.id))

    async def _save_usage(self) -> None:
        """Store the usage of a turn that could not end as usual: its thread is another's, or deleted."""
        records = self._usage_records()
        if not records:
            return
        try:
            await self._store.save_usage(records, self._context)
        except Exception as error:  # noqa: BLE001  (the turn ends all the same)
            self.log.warning("usage not saved", reason=type(error).__name__)
