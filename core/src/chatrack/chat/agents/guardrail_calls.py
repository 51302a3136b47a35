"""Calls the guardrails of an agent. One that trips, fails or hangs ends the turn."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import structlog
from chatkit.types import NoticeEvent, ThreadMetadata

from chatrack.assembly import BoundAgent, BoundGuardrail
from chatrack.chat.errors import Withheld
from chatrack.interfaces import (
    GuardrailContext,
    InputGuardrail,
    OutputGuardrail,
    Replace,
    RequestContext,
    Trip,
    Verdict,
)

_log = structlog.get_logger(source="chatrack.guardrails")

FAILED = "This could not be checked, so it was not sent on. Please try again later."
"""What users read if a guardrail fails."""

MAX_TEXTS = 100
"""The most texts of one input in which something can be replaced."""

Check = Callable[[str, GuardrailContext], Coroutine[Any, Any, Verdict]]


class GuardrailCalls:
    """Calls the guardrails of one turn, and collects what users are told.

    Args:
        request: the request of the turn.
        thread: the thread.
    """

    def __init__(self, request: RequestContext, thread: ThreadMetadata) -> None:
        self._request = request
        self._thread = thread
        self._notices: list[str] = []
        self._told: set[str] = set()

    async def check_input(self, text: str, agent: BoundAgent) -> tuple[str, list[BoundGuardrail]]:
        """Return the text that an agent may read, and the guardrails that have replaced something in it.

        Args:
            text: what the user sent.
            agent: the agent whose guardrails check it.

        Raises:
            Withheld: a guardrail tripped or failed.
        """
        checks = [(bound, bound.guardrail.check_input) for bound in input_guardrails(agent)]
        return await self._check_all(text, agent, checks, of_input=True)

    async def replace_texts(
        self, texts: Iterable[str], agent: BoundAgent, guardrails: Sequence[Any]
    ) -> dict[str, str]:
        """Return what takes the place of each of the texts that a user sent. In all, it takes no longer than one check.

        Args:
            texts: the texts.
            agent: the agent that is to read them.
            guardrails: those of its guardrails that have replaced something in the whole; at least one.

        Raises:
            Withheld: a guardrail tripped or failed, or there are more than `MAX_TEXTS`.
        """
        distinct = list(dict.fromkeys(texts))
        checks = [(bound, bound.guardrail.check_input) for bound in guardrails]
        try:
            if len(distinct) > MAX_TEXTS:
                raise ValueError("too many texts")
            async with asyncio.timeout(sum(bound.guardrail.timeout for bound in guardrails)):
                return {
                    text: (await self._check_all(text, agent, checks, of_input=True))[0] for text in distinct
                }
        except (TimeoutError, ValueError) as error:
            raise self._failed(guardrails[0], agent, error, of_input=True) from None

    async def check_output(self, text: str, agent: BoundAgent) -> str:
        """Return the text that the user may read.

        Args:
            text: what the agent's model wrote.
            agent: the agent.

        Raises:
            Withheld: a guardrail tripped or failed.
        """
        checks = [(bound, bound.guardrail.check_output) for bound in output_guardrails(agent)]
        passed, _ = await self._check_all(text, agent, checks, of_input=False)
        return passed

    def complete_length(self, text: str, agent: BoundAgent) -> int:
        """Return how much of a text the guardrails of an agent can check without what follows.

        Raises:
            Withheld: a guardrail failed.
        """
        length = len(text)
        for bound in output_guardrails(agent):
            try:
                # Each gets what those before it left over.
                length = min(length, max(0, bound.guardrail.complete_length(text[:length])))
            except Exception as error:  # noqa: BLE001  (whatever it is, nothing unchecked goes on)
                raise self._failed(bound, agent, error, of_input=False) from None
        return length

    def take_notices(self) -> list[NoticeEvent]:
        """Return the notices that have not been sent yet; each is sent once in a turn."""
        notices, self._notices = self._notices, []
        return [NoticeEvent(level="warning", message=message) for message in notices]

    async def _check_all(
        self, text: str, agent: BoundAgent, checks: Iterable[tuple[BoundGuardrail, Check]], *, of_input: bool
    ) -> tuple[str, list[BoundGuardrail]]:
        replacing: list[BoundGuardrail] = []
        context = GuardrailContext(request=self._request, thread=self._thread, agent=agent.address)
        for bound, check in checks:
            if not text.strip():
                break
            try:
                verdict = await _within(bound.guardrail.timeout, check(text, context))
                if not isinstance(verdict, Replace | Trip | None):
                    raise TypeError(f"a check returned {type(verdict).__name__}")
            except Exception as error:  # noqa: BLE001  (as above)
                raise self._failed(bound, agent, error, of_input=of_input) from None
            if isinstance(verdict, Trip):
                self._log("guardrail tripped", bound, agent, of_input=of_input)
                raise Withheld(verdict.message, refusal=verdict.store == "refusal")
            if isinstance(verdict, Replace):
                text = verdict.text
                replacing.append(bound)
                if verdict.notice is not None and verdict.notice not in self._told:
                    self._told.add(verdict.notice)
                    self._notices.append(verdict.notice)
        return text, replacing

    def _failed(
        self, bound: BoundGuardrail, agent: BoundAgent, error: Exception, *, of_input: bool
    ) -> Withheld:
        # The message of the error may repeat the text, which must not get into the log.
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
        fields = {"error": type(error).__name__, "place": place}
        self._log("guardrail failed", bound, agent, of_input=of_input, **fields)
        # A message that was not stored cannot be retried.
        return Withheld(FAILED, allow_retry=not of_input, failed=True)

    def _log(
        self, event: str, bound: BoundGuardrail, agent: BoundAgent, *, of_input: bool, **fields: Any
    ) -> None:
        plugin, _, name = bound.address.partition(".")
        write = _log.error if fields else _log.warning
        write(
            event,
            guardrail=name,
            plugin=plugin,
            agent=agent.address,
            checked="input" if of_input else "output",
            request_id=self._request.request_id,
            tenant=self._request.user.tenant_id,
            user=self._request.user.id,
            thread=self._thread.id,
            **fields,
        )


def input_guardrails(agent: BoundAgent) -> list[Any]:
    """Return the guardrails that check what users send to an agent."""
    return [bound for bound in agent.guardrails if isinstance(bound.guardrail, InputGuardrail)]


def output_guardrails(agent: BoundAgent) -> list[Any]:
    """Return the guardrails that check what an agent answers."""
    return [bound for bound in agent.guardrails if isinstance(bound.guardrail, OutputGuardrail)]


async def _within(seconds: float, check: Coroutine[Any, Any, Verdict]) -> Verdict:
    """Await a check for a while. One that ignores its cancellation is left behind.

    Raises:
        TimeoutError: it takes too long.
    """
    task = asyncio.create_task(check)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            raise TimeoutError
        if task.cancelled():
            raise RuntimeError("a check cancelled itself")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_retrieve)


def _retrieve(task: asyncio.Task[Verdict]) -> None:
    if not task.cancelled():
        task.exception()  # or asyncio logs it, with its message
