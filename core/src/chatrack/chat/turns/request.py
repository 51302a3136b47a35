"""What a streaming request asks of a turn."""

from collections.abc import Sequence

import msgspec
from chatkit.types import Attachment, ThreadItem, ThreadMetadata, ThreadStreamEvent, UserMessageItem

from chatrack.interfaces import ThreadRecord


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored and sent when a turn begins. Built and checked before the thread is locked.

    Args:
        thread: the thread, as it was when the request came.
        create: the thread's record, if the turn creates it.
        items: items to store in the transaction that takes the lease.
        attachments: the files that `items` refer to; they become the thread's in the same transaction.
        initial_events: the events that the turn's stream begins with.
        message: the user's message to answer, if there is one.
        history_end_seq: in a retry, the sequence after the message: the model sees what comes before it, and the
            new answer replaces what comes after. None if the turn is no retry.
    """

    thread: ThreadMetadata
    create: ThreadRecord | None = None
    items: Sequence[ThreadItem] = ()
    attachments: Sequence[Attachment] = ()
    initial_events: Sequence[ThreadStreamEvent] = ()
    message: UserMessageItem | None = None
    history_end_seq: int | None = None
