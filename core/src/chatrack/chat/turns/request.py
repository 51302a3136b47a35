"""What each kind of streaming request wants of a turn: what opens it and what it then does."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from chatkit.types import Attachment, ThreadItem, ThreadMetadata, ThreadStreamEvent, UserMessageItem

from chatrack.assembly import BoundAgent
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.interfaces import Lease, ThreadRecord

if TYPE_CHECKING:
    from chatrack.chat.server import ChatrackServer
    from chatrack.chat.turns.turn import Turn


class Plan:
    """A turn to be: made before the thread is taken, carried out under its lease.

    Args:
        server: the server.
        thread: the thread, as it was when the request came.
        create: the thread's record, if it is new.
        items: what opens the turn; stored together with taking the lease.
        attachments: what `items` refer to; they become the thread's in the same transaction.
        opening: events that say so.
        message: the user's message that the agent answers, if there is one.
        entry: the entry agent, if not as it is for everyone.
    """

    def __init__(
        self,
        server: "ChatrackServer",
        thread: ThreadMetadata,
        *,
        create: ThreadRecord | None = None,
        items: Sequence[ThreadItem] = (),
        attachments: Sequence[Attachment] = (),
        opening: Sequence[ThreadStreamEvent] = (),
        message: UserMessageItem | None = None,
        entry: BoundAgent | None = None,
    ) -> None:
        self.server = server
        self.thread = thread
        self.thread_id = thread.id
        self.create = create
        self.items = items
        self.attachments = attachments
        self.opening = opening
        self.message = message
        self.default_agent = entry or server.assembly.default_agent
        self.replaces: list[str] = []
        """Ids of the items that this turn's items take the place of when it succeeds (a retry)."""
        self.replaces_shown: list[str] = []
        """Those of them that the client sees."""
        self.retry = False
        self.before: int | None = None
        """The model is shown the thread up to this sequence only."""

    async def begin(self, turn: "Turn", lease: Lease) -> None:
        """Do what has to be done under the lease before the first event.

        Args:
            turn: the turn.
            lease: its right to write.

        Raises:
            RequestError: the request turns out to be impossible; the thread is given back.
        """

    def events(self, turn: "Turn") -> AsyncGenerator[ThreadStreamEvent | TextDelta]:
        """Carry the turn out: let the agent answer."""
        return self.server.respond(self.thread, self.message, turn)
