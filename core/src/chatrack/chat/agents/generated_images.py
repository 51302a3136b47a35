"""Keeps images that a model generates."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

from chatkit.types import GeneratedImage, GeneratedImageItem, ThreadItemDoneEvent

from chatrack.chat.turns.session import TurnSession
from chatrack.clock import now
from chatrack.errors import RequestError
from chatrack.files.files import Files
from chatrack.files.urls import PLACEHOLDER_URL
from chatrack.ids import new_id


async def keep_image(event: Any, files: Files, session: TurnSession) -> ThreadItemDoneEvent | None:
    """Store the image that an event of a model brings, and return the event that shows it; None if there is none.

    It belongs to the thread, as what users attach does.

    Args:
        event: the event of the model.
        files: takes the image.
        session: the turn.
    """
    item = getattr(event, "item", None)
    if event.type != "response.output_item.done" or item is None or item.type != "image_generation_call":
        return None
    if not item.result:
        return None
    try:
        data = base64.b64decode(item.result, validate=True)
        attachment = await files.upload(_chunks(data), name="image", declared="", context=session.context)
        await files.assign(attachment, session.thread_id, session.context)
    except (RequestError, binascii.Error) as error:
        # The answer goes on without it.
        session.log.warning("generated image not kept", reason=str(error))
        return None
    image = GeneratedImage(id=attachment.id, url=PLACEHOLDER_URL + attachment.id)
    return ThreadItemDoneEvent(
        item=GeneratedImageItem(
            id=new_id("message"), thread_id=session.thread_id, created_at=now(), image=image
        )
    )


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data
