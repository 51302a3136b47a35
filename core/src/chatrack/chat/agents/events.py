"""From the Agents SDK's stream to ChatKit's events, with ids of our own and nothing of the model's lost.

But for NUL characters: what a model says is not to be trusted, and no database is asked to keep them.
"""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import agents
import structlog
from agents import StreamEvent
from agents.items import RunItem
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageItem,
    FileSource,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
)
from pydantic import ValidationError

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.history import model_item_content
from chatrack.chat.agents.workflow import Progress
from chatrack.chat.turns.text_delta import TextDelta, sanitize_json, sanitize_text
from chatrack.clock import now
from chatrack.config import ChatTable
from chatrack.ids import new_id

Events: TypeAlias = tuple[ThreadStreamEvent | TextDelta, ...]

_log = structlog.get_logger(source="chatrack.stream")


class AgentStream:
    """Converts one run.

    Args:
        thread_id: the thread the run answers in.
        agent: the agent that begins.
        bound: finds what an agent of the Agents SDK was made of.
        chat: what of the work is shown.
    """

    def __init__(
        self,
        thread_id: str,
        agent: BoundAgent,
        bound: Callable[[agents.Agent[Any]], BoundAgent | None],
        chat: ChatTable,
    ) -> None:
        self.thread_id = thread_id
        self.provider_metadata: dict[str, str] = {}
        """What the provider called the items, by our id, as JSON."""
        self.refused = False
        """Whether the model declined to answer."""
        self._agent = agent
        self._bound = bound
        # Providers' ids are not to be relied on: Chat Completions has one for everything. An output
        # index is unique within a response.
        self._messages: dict[int, AssistantMessageItem] = {}
        self._annotations: dict[tuple[str, int], int] = {}
        self._progress = Progress(
            thread_id,
            tools=chat.show_tools,
            reasoning=chat.show_reasoning,
            provider_metadata=self.provider_metadata,
        )

    @property
    def model(self) -> str:
        """The name of the model that speaks."""
        return self._agent.model

    def convert(self, event: StreamEvent) -> Events:
        """Convert one event to none, one or several."""
        if event.type == "raw_response_event":
            data: Any = event.data
            handler = _RAW.get(data.type)
            return handler(self, data) if handler is not None else ()
        if event.type == "run_item_stream_event":
            return self._run_item(event.item)
        return self._agent_updated(event.new_agent)

    def end(self) -> Events:
        """Give what is left to say when the run is over."""
        return self._progress.end()

    # -- the provider's events -------------------------------------------------------------------------

    def _created(self, _event: Any) -> Events:
        self._messages.clear()
        self._progress.response_begins()
        return ()

    def piece(self, event: Any) -> TextDelta | None:
        """Convert a delta of text; give None if it is of no message."""
        message = self._messages.get(event.output_index)
        return (
            None
            if message is None
            else TextDelta(message.id, event.content_index, sanitize_text(event.delta))
        )

    def _text_delta(self, event: Any) -> Events:
        piece = self.piece(event)
        return (piece,) if piece is not None and piece.text else ()

    def _part_added(self, event: Any) -> Events:
        return self._part(event, AssistantMessageContentPartAdded)

    def _part_done(self, event: Any) -> Events:
        return self._part(event, AssistantMessageContentPartDone)

    def _part(self, event: Any, update: type[Any]) -> Events:
        message = self._messages.get(event.output_index)
        content = self._content(event.part)
        if message is None or content is None:
            return ()
        change = update(content_index=event.content_index, content=content)
        return (ThreadItemUpdatedEvent(item_id=message.id, update=change),)

    def _annotation(self, event: Any) -> Events:
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

    def _item_added(self, event: Any) -> Events:
        item = event.item
        if item.type == "message":
            message = self._message(item)
            self._messages[event.output_index] = message
            return (*self._progress.end(), ThreadItemAddedEvent(item=message))
        if item.type == "function_call":
            # A handoff is told when it happens.
            return () if item.name in self._handoffs else self._progress.call(item.call_id, item.name)
        return self._progress.hosted(item, done=False)

    def _item_done(self, event: Any) -> Events:
        item = event.item
        if item.type != "message":
            shown = self._progress.hosted(item, done=True)
            if item.type == "image_generation_call":
                return shown  # its picture, megabytes of base64, is no part of the history
            return (
                *shown,
                ThreadItemDoneEvent(item=self._hidden(item.model_dump(mode="json", exclude_none=True))),
            )
        begun = self._messages.pop(event.output_index, None)
        message = self._message(item)
        if begun is not None:  # one message: one id and one time from its first event to its last
            message = message.model_copy(update={"id": begun.id, "created_at": begun.created_at})
        if not any(part.text.strip() for part in message.content):
            return () if begun is None else (ThreadItemRemovedEvent(item_id=begun.id),)
        self.refused = any(part.type == "refusal" for part in item.content)
        self.provider_metadata[message.id] = json.dumps({"model": self.model, "id": item.id})
        return (ThreadItemDoneEvent(item=message),)

    def _summary_delta(self, event: Any) -> Events:
        return self._progress.think(("summary", event.output_index, event.summary_index), event.delta)

    def _summary_done(self, event: Any) -> Events:
        key = ("summary", event.output_index, event.summary_index)
        return self._progress.thought(key, event.part.text)

    def _reasoning_delta(self, event: Any) -> Events:
        return self._progress.think(("text", event.output_index, event.content_index), event.delta)

    def _reasoning_done(self, event: Any) -> Events:
        return self._progress.thought(("text", event.output_index, event.content_index), event.text)

    # -- the SDK's items: what tools and handoffs gave ----------------------------------------------------

    def _run_item(self, item: RunItem) -> Events:
        if item.type not in {"tool_call_output_item", "handoff_output_item"}:
            return ()
        raw: Any = item.to_input_item()
        if raw.get("type") != "function_call_output":
            return ()
        result = ThreadItemDoneEvent(item=self._hidden(json.loads(json.dumps(raw, default=str))))
        return (*self._progress.result(raw["call_id"]), result)

    def _agent_updated(self, agent: agents.Agent[Any]) -> Events:
        bound = self._bound(agent)
        if bound is None or bound.address == self._agent.address:
            return ()
        self._agent = bound
        name = " ".join(bound.spec.name.replace("_", " ").split())
        return (*self._progress.end(), ProgressUpdateEvent(text=f"Handing over to {name}"))

    @property
    def _handoffs(self) -> set[str]:
        return {
            agents.Handoff.default_tool_name(target)
            for target in self._agent.agent.handoffs
            if isinstance(target, agents.Agent)
        }

    # -- parts -------------------------------------------------------------------------------------------

    def _hidden(self, raw: dict[str, Any]) -> HiddenContextItem:
        return HiddenContextItem(
            id=new_id("sdk_hidden_context"),
            thread_id=self.thread_id,
            created_at=now(),
            content=model_item_content(sanitize_json(raw), self.model),
        )

    def _message(self, raw: Any) -> AssistantMessageItem:
        content = [part for part in map(self._content, raw.content) if part is not None]
        return AssistantMessageItem(
            id=new_id("message"), thread_id=self.thread_id, created_at=now(), content=content
        )

    def _content(self, part: Any) -> AssistantMessageContent | None:
        if part.type == "output_text":
            annotations = [one for one in map(_annotation_of, part.annotations or []) if one is not None]
            return AssistantMessageContent(text=sanitize_text(part.text), annotations=annotations)
        if part.type == "refusal":
            return AssistantMessageContent(text=sanitize_text(part.refusal))
        return None


def _annotation_of(raw: Any) -> Annotation | None:
    # Upstream parses annotations into whichever class comes first, or leaves a dict.
    values = raw if isinstance(raw, dict) else raw.model_dump()
    values = sanitize_json(values)  # what stands on pages of the web is trusted least of all
    kind = values.get("type")
    try:
        if kind == "url_citation" and values.get("url"):
            title = values.get("title") or values["url"]
            return Annotation(source=URLSource(url=values["url"], title=title), index=values.get("end_index"))
        if kind in {"file_citation", "container_file_citation"} and values.get("filename"):
            name = values["filename"]
            index = values.get("index") if kind == "file_citation" else values.get("end_index")
            return Annotation(source=FileSource(filename=name, title=name), index=index)
    except ValidationError:
        pass
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
    "response.reasoning_summary_text.delta": AgentStream._summary_delta,  # noqa: SLF001
    "response.reasoning_summary_part.done": AgentStream._summary_done,  # noqa: SLF001
    "response.reasoning_text.delta": AgentStream._reasoning_delta,  # noqa: SLF001
    "response.reasoning_text.done": AgentStream._reasoning_done,  # noqa: SLF001
}
