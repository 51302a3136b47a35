"""The work of a turn, as the turn sees it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from chatkit.types import ThreadStreamEvent

from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.interfaces import UsageRecord


class Usage(Protocol):
    """The tokens that a handler has used so far."""

    def records(self, *, thread_id: str, turn_id: str) -> Sequence[UsageRecord]:
        """Return what to store."""

    def log_fields(self) -> dict[str, Any]:
        """Return what to log at the end of the turn."""


class TurnHandler(ABC):
    """Does the work of one turn. Each turn has a handler of its own."""

    usage: Usage | None = None
    """Set by handlers that call models."""

    async def prepare(self, session: TurnSession) -> Sequence[ThreadStreamEvent]:
        """Do what has to be done under the lease before the first event is sent.

        Returns:
            Events to send after the request's own.

        Raises:
            RequestError: the request turns out to be impossible; the lease is released, and the client gets the error.
        """
        return ()

    @abstractmethod
    def events(self, session: TurnSession) -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
        """Do the work, and yield what happens. The turn stores and sends each event.

        Cancelled when the turn is; closed in either case.
        """

    async def drain(self) -> None:  # noqa: B027  (most handlers leave nothing running)
        """Wait for what still runs after `events` has ended. Called once, and cancelled if it takes too long."""
