"""Events as clients get them."""

from collections.abc import Callable

from chatkit.types import Thread, ThreadStreamEvent

from chatrack.clock import as_utc
from chatrack.interfaces.records import dump, is_hidden


def encode_event(event: ThreadStreamEvent, add_urls: Callable[[bytes], bytes] = bytes) -> bytes:
    """Return an event as a server-sent event.

    Args:
        event: the event.
        add_urls: puts URLs into its JSON in place of the placeholders of files.
    """
    return b"data: " + add_urls(dump(event).encode()) + b"\n\n"


def visible_thread(thread: Thread) -> Thread:
    """Return a thread as a client may see it: without metadata and hidden items, its time in UTC."""
    items = thread.items.model_copy(
        update={"data": [item for item in thread.items.data if not is_hidden(item)]}
    )
    changes = {"metadata": {}, "items": items, "created_at": as_utc(thread.created_at)}
    return thread.model_copy(update=changes)
