"""What the model reads about an answer that was not completed."""

from typing import Literal

from chatkit.types import SDKHiddenContextItem

from chatrack.clock import now
from chatrack.ids import new_id
from chatrack.interfaces import ItemRecord
from chatrack.interfaces.records import item_to_record

Interruption = Literal["disconnected", "shutdown", "failed", "withheld"]

_TEXTS: dict[Interruption, str] = {
    "disconnected": "The user cancelled the previous response. Do not continue it unless asked.",
    "shutdown": "The previous response was interrupted before it was complete.",
    "failed": "The previous response failed before it was complete.",
    "withheld": "The previous response was withheld from the user by a content check.",
}


def interruption_marker(reason: Interruption, *, thread_id: str, turn_id: str) -> ItemRecord:
    """Return the hidden item that tells the model why the answer before it stops where it does."""
    item = SDKHiddenContextItem(
        id=new_id("sdk_hidden_context"), thread_id=thread_id, created_at=now(), content=_TEXTS[reason]
    )
    return item_to_record(item, turn_id=turn_id)
