"""All that a handler sees of its turn."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from chatrack.chat.turns.request import TurnRequest
from chatrack.chat.turns.writer import TurnWriter
from chatrack.interfaces import RequestContext, TurnContext
from chatrack.limits import TokenBudget


class TurnSession:
    """A turn that has its thread.

    Args:
        turn_id: `trn_…`.
        context: the request that began the turn.
        request: what it asks for.
        writer: stores and sends what happens.
        log: the turn's logger.
        token_budget: what the turn may use of tokens; None if that is not limited.
    """

    def __init__(
        self,
        *,
        turn_id: str,
        context: RequestContext,
        request: TurnRequest,
        writer: TurnWriter,
        log: structlog.stdlib.BoundLogger,
        token_budget: TokenBudget | None = None,
    ) -> None:
        self.turn_id = turn_id
        self.context = context
        self.request = request
        self.writer = writer
        self.log = log
        self.token_budget = token_budget
        self.spawned: list[asyncio.Task[None]] = []
        """Tasks that may outlive the turn, but not the server."""

    @property
    def thread_id(self) -> str:
        """The thread."""
        return self.request.thread.id

    @property
    def tool_context(self) -> TurnContext:
        """What tools and actions get."""
        return TurnContext(
            request=self.context,
            thread=self.request.thread,
            turn_id=self.turn_id,
            emit=self.writer.emit,
        )

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine as a task that may outlive the turn, such as naming the thread."""
        self.spawned.append(asyncio.create_task(work, name=f"{self.turn_id} {name}"))
