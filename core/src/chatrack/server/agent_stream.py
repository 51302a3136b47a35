"""From the Agents SDK's stream to ChatKit's events, with ids of our own (T1) and nothing of the model's lost (T15).

But for NUL characters: what a model says is not to be trusted, and no database is asked to keep them.
"""

import json
from typing import Any

import structlog
from agents import StreamEvent
from agents.items import RunItem
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    FileSource,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
)

from chatrack.clock import now
from chatrack.ids import new_id
from chatrack.interfaces.records import without_nul
from chatrack.server.history import model_item_content

_log = structlog.get_logger(source="chatrack.stream")


class AgentStream:
    """Converts one run.

    Args:
        thread_id: the thread the run answers in.
        model: the name of the model, kept with what it said.
    """

    def __init__(self, thread_id: str, model: str) -> None:
        self.thread_id = thread_id
        self.model = model
        self.origins: dict[str, str] = {}
        """What the provider called the items, by our id, as JSON."""
        # Providers' ids are not to be relied on: Chat Completions has one for everything (T1). An output
        # index is unique within a response.
        self._messages: dict[int, AssistantMessageItem] = {}
        self._annotations: dict[tuple[str, int], int] = {}

    def convert(self, event: StreamEvent) -> tuple[ThreadStreamEvent, ...]:
        """Convert one event to none, one or several."""
        if event.type == "raw_response_event":
            data: Any = event.data
            handler = _RAW.get(data.type)
            return handler(self, data) if handler is not None else ()
        if event.type == "run_item_stream_event":
            return self._run_item(event.item)
        return ()

    # -- the provider's events -------------------------------------------------------------------------

    def _created(self, _event: Any) -> tuple[ThreadStreamEvent, ...]:
        self._messages.clear()
        return ()

    def _text_delta(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        message = self._messages.get(event.output_index)
        if message is None or not event.delta:
            return ()
        delta = event.delta.replace("\0", "")
        update = AssistantMessageContentPartTextDelta(content_index=event.content_index, delta=delta)
        return (ThreadItemUpdatedEvent(item_id=message.id, update=update),)

    def _part_added(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        return self._part(event, AssistantMessageContentPartAdded)

    def _part_done(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        return self._part(event, AssistantMessageContentPartDone)

    def _part(self, event: Any, update: type[Any]) -> tuple[ThreadStreamEvent, ...]:
        message = self._messages.get(event.output_index)
        content = self._content(event.part)
        if message is None or content is None:
            return ()
        change = update(content_index=event.content_index, content=content)
        return (ThreadItemUpdatedEvent(item_id=message.id, update=change),)

    def _annotation(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        message = self._messages.get(event.output_index)
        annotation = _annotation_of(event.annotation)
        if message is None or annotation is None:
            return ()
        place = (message.id, event.content_index)
        index = self._annotations.get(place, 0)
        self._annotations[place] = index + 1
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=event.content_index, annotation_index=index, annotation=annotation
        )
        return (ThreadItemUpdatedEvent(item_id=message.id, update=update),)

    def _item_added(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        if event.item.type != "message":
            return ()
        message = self._message(event.item)
        self._messages[event.output_index] = message
        return (ThreadItemAddedEvent(item=message),)

    def _item_done(self, event: Any) -> tuple[ThreadStreamEvent, ...]:
        if event.item.type == "image_generation_call":
            return ()  # its picture, megabytes of base64, is no part of the history (T21)
        if event.item.type != "message":
            return (
                ThreadItemDoneEvent(item=self._hidden(event.item.model_dump(mode="json", exclude_none=True))),
            )
        shown = self._messages.pop(event.output_index, None)
        message = self._message(event.item)
        if shown is not None:  # one message: one id and one time from its first event to its last
            message = message.model_copy(update={"id": shown.id, "created_at": shown.created_at})
        if not any(part.text.strip() for part in message.content):
            return () if shown is None else (ThreadItemRemovedEvent(item_id=shown.id),)
        self.origins[message.id] = json.dumps({"model": self.model, "id": event.item.id})
        return (ThreadItemDoneEvent(item=message),)

    # -- the SDK's items: what tools and handoffs gave ----------------------------------------------------

    def _run_item(self, item: RunItem) -> tuple[ThreadStreamEvent, ...]:
        if item.type not in {"tool_call_output_item", "handoff_output_item"}:
            return ()
        raw: Any = item.to_input_item()
        if raw.get("type") != "function_call_output":
            return ()
        return (ThreadItemDoneEvent(item=self._hidden(json.loads(json.dumps(raw, default=str)))),)

    # -- parts -------------------------------------------------------------------------------------------

    def _hidden(self, raw: dict[str, Any]) -> HiddenContextItem:
        return HiddenContextItem(
            id=new_id("sdk_hidden_context"),
            thread_id=self.thread_id,
            created_at=now(),
            content=model_item_content(without_nul(raw), self.model),
        )

    def _message(self, raw: Any) -> AssistantMessageItem:
        content = [part for part in map(self._content, raw.content) if part is not None]
        return AssistantMessageItem(
            id=new_id("message"), thread_id=self.thread_id, created_at=now(), content=content
        )

    def _content(self, part: Any) -> AssistantMessageContent | None:
        if part.type == "output_text":
            annotations = [one for one in map(_annotation_of, part.annotations or []) if one is not None]
            return AssistantMessageContent(text=part.text.replace("\0", ""), annotations=annotations)
        if part.type == "refusal":
            return AssistantMessageContent(text=part.refusal.replace("\0", ""))
        return None


def _annotation_of(raw: Any) -> Annotation | None:
    # Upstream parses annotations into whichever class comes first, or leaves a dict (T20).
    values = raw if isinstance(raw, dict) else raw.model_dump()
    kind = values.get("type")
    if kind == "url_citation" and values.get("url"):
        title = values.get("title") or values["url"]
        return Annotation(source=URLSource(url=values["url"], title=title), index=values.get("end_index"))
    if kind in {"file_citation", "container_file_citation"} and values.get("filename"):
        name = values["filename"]
        index = values.get("index") if kind == "file_citation" else values.get("end_index")
        return Annotation(source=FileSource(filename=name, title=name), index=index)
    _log.debug("annotation skipped", kind=kind)
    return None


_RAW: dict[str, Any] = {
    "response.created": AgentStream._created,  # noqa: SLF001  (a table of this class's own methods)
    "response.output_item.added": AgentStream._item_added,  # noqa: SLF001
    "response.content_part.added": AgentStream._part_added,  # noqa: SLF001
    "response.output_text.delta": AgentStream._text_delta,  # noqa: SLF001
    "response.refusal.delta": AgentStream._text_delta,  # noqa: SLF001
    "response.output_text.annotation.added": AgentStream._annotation,  # noqa: SLF001
    "response.content_part.done": AgentStream._part_done,  # noqa: SLF001
    "response.output_item.done": AgentStream._item_done,  # noqa: SLF001
}
