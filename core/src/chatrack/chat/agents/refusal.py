"""The turn of a message that tripped a guardrail: no model reads it."""

from collections.abc import AsyncGenerator

from chatkit.types import ThreadItemDoneEvent, ThreadStreamEvent

from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.withheld import refusal_message


class RefusalHandler(TurnHandler):
    """Answers with a sentence.

    Args:
        message: the sentence.
    """

    def __init__(self, message: str) -> None:
        self._message = message

    async def events(self, session: TurnSession) -> AsyncGenerator[ThreadStreamEvent]:
        """Yield the answer."""
        yield ThreadItemDoneEvent(item=refusal_message(self._message, thread_id=session.thread_id))
