"""From the Agents SDK's stream events to ChatKit's.

Items get ids of our own, and everything that the model needs later is stored, hidden from the client.
"""

import json
from typing import Any, TypeAlias

import agents
from agents import StreamEvent
from agents.items import RunItem
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageItem,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.annotations import to_annotation
from chatrack.chat.agents.guardrail_calls import output_guardrails
from chatrack.chat.agents.input_items import model_item_content
from chatrack.chat.agents.link_filter import LinkFilter, showable_text
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.agents.sanitize import sanitize_json, sanitize_text
from chatrack.chat.agents.workflow import WorkflowBuilder
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.clock import now
from chatrack.config import ChatTable
from chatrack.ids import new_id

Events: TypeAlias = tuple[ThreadStreamEvent | TextDelta, ...]


class EventConverter:
    """Converts the events of one turn's runs.

    Args:
        thread_id: the thread.
        resolver: the agents; the entry agent speaks first.
        chat: which of the work is shown.
        provider_metadata: receives the provider's ids of items, by our id, as JSON.
    """

    def __init__(
        self, thread_id: str, resolver: AgentResolver, chat: ChatTable, provider_metadata: dict[str, str]
    ) -> None:
        self.thread_id = thread_id
        self.refused = False
        """Whether the model declined to answer."""
        self._resolver = resolver
        self._agent = resolver.default_agent
        self._provider_metadata = provider_metadata
        # By output index, which is unique within a response. Providers' ids are not: the Agents SDK gives the same
        # id to every message over Chat Completions.
        self._messages: dict[int, AssistantMessageItem] = {}
        self._annotations: dict[tuple[str, int], int] = {}
        self._link_hosts = chat.link_hosts
        self._link_filters: dict[tuple[int, int], LinkFilter] = {}
        """Of the parts that are being streamed, by output and content index."""
        self._workflow = WorkflowBuilder(
            thread_id,
            tools=chat.show_tools,
            reasoning=chat.show_reasoning,
            provider_metadata=provider_metadata,
            link_hosts=chat.link_hosts,
        )
        self.guarded = self._workflow.plain = bool(output_guardrails(self._agent))
        """Whether the agent that is answering has output guardrails."""

    @property
    def agent(self) -> BoundAgent:
        """The agent that is answering."""
        return self._agent

    @property
    def model(self) -> str:
        """The model of the agent that is answering, as `provider/model`."""
        return self._agent.model

    def convert(self, event: StreamEvent) -> Events:
        """Convert an event of the Agents SDK to any number of ChatKit's."""
        if event.type == "raw_response_event":
            data: Any = event.data
            handler = _RAW_EVENTS.get(data.type)
            return handler(self, data) if handler is not None else ()
        if event.type == "run_item_stream_event":
            return self._run_item(event.item)
        return self._agent_updated(event.new_agent)

    def finish(self) -> Events:
        """Return the events that end the last run: those of an unfinished workflow."""
        return self._workflow.finish()

    # -- the provider's events -------------------------------------------------------------------------

    def _created(self, _event: Any) -> Events:
        self._messages.clear()
        self._link_filters.clear()
        self._workflow.start_response()
        return ()

    def text_delta(self, event: Any) -> TextDelta | None:
        """Convert a text delta of the provider; return None if it belongs to no message."""
        message = self._messages.get(event.output_index)
        if message is None:
            return None
        text = sanitize_text(event.delta)
        if self._link_hosts is not None:
            part = (event.output_index, event.content_index)
            links = self._link_filters.get(part)
            if links is None:
                links = self._link_filters[part] = LinkFilter(self._link_hosts)
            text = links.feed(text)
        return TextDelta(message.id, event.content_index, text)

    def _text_delta(self, event: Any) -> Events:
        delta = self.text_delta(event)
        return (delta,) if delta is not None and delta.text else ()

    def _part_added(self, event: Any) -> Events:
        return self._update_part(event, AssistantMessageContentPartAdded)

    def _part_done(self, event: Any) -> Events:
        done = self._update_part(event, AssistantMessageContentPartDone)
        links = self._link_filters.pop((event.output_index, event.content_index), None)
        rest = "" if links is None else links.finish()
        message = self._messages.get(event.output_index)
        return (
            done if message is None or not rest else (TextDelta(message.id, event.content_index, rest), *done)
        )

    def _update_part(self, event: Any, make_update: type[Any]) -> Events:
        message = self._messages.get(event.output_index)
        content = self._content(event.part)
        if message is None or content is None:
            return ()
        update = make_update(content_index=event.content_index, content=content)
        return (ThreadItemUpdatedEvent(item_id=message.id, update=update),)

    def _annotation(self, event: Any) -> Events:
        message = self._messages.get(event.output_index)
        annotation = to_annotation(event.annotation, self._link_hosts)
        if message is None or annotation is None:
            return ()
        part = (message.id, event.content_index)
        index = self._annotations.get(part, 0)
        self._annotations[part] = index + 1
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=event.content_index, annotation_index=index, annotation=annotation
        )
        return (ThreadItemUpdatedEvent(item_id=message.id, update=update),)

    def _item_added(self, event: Any) -> Events:
        item = event.item
        if item.type == "message":
            message = self._message(item)
            self._messages[event.output_index] = message
            return (*self._workflow.finish(), ThreadItemAddedEvent(item=message))
        if item.type == "function_call":
            # A handoff is shown when it happens.
            return (
                ()
                if item.name in self._handoff_tool_names
                else self._workflow.tool_call(
                    item.call_id, item.name, known=item.name in self._agent.tools.values()
                )
            )
        return self._workflow.hosted_tool_call(item, done=False)

    def _item_done(self, event: Any) -> Events:
        item = event.item
        if item.type != "message":
            workflow_events = self._workflow.hosted_tool_call(item, done=True)
            if item.type == "image_generation_call":
                return workflow_events  # the picture is megabytes of base64: too large for the history
            return (
                *workflow_events,
                ThreadItemDoneEvent(item=self._hidden_item(item.model_dump(mode="json", exclude_none=True))),
            )
        added = self._messages.pop(event.output_index, None)
        message = self._message(item)
        if added is not None:  # the same id and time in all events of the message
            message = message.model_copy(update={"id": added.id, "created_at": added.created_at})
        if not any(part.text.strip() for part in message.content):
            return () if added is None else (ThreadItemRemovedEvent(item_id=added.id),)
        self.refused = any(part.type == "refusal" for part in item.content)
        self._provider_metadata[message.id] = json.dumps({"model": self.model, "id": item.id})
        return (ThreadItemDoneEvent(item=message),)

    def _summary_delta(self, event: Any) -> Events:
        return self._workflow.reasoning_delta(
            ("summary", event.output_index, event.summary_index), event.delta
        )

    def _summary_done(self, event: Any) -> Events:
        key = ("summary", event.output_index, event.summary_index)
        return self._workflow.reasoning_done(key, event.part.text)

    def _reasoning_delta(self, event: Any) -> Events:
        return self._workflow.reasoning_delta(("text", event.output_index, event.content_index), event.delta)

    def _reasoning_done(self, event: Any) -> Events:
        return self._workflow.reasoning_done(("text", event.output_index, event.content_index), event.text)

    # -- the SDK's run items: results of tools and handoffs -----------------------------------------------

    def _run_item(self, item: RunItem) -> Events:
        if item.type not in {"tool_call_output_item", "handoff_output_item"}:
            return ()
        raw: Any = item.to_input_item()
        if raw.get("type") != "function_call_output":
            return ()
        result = ThreadItemDoneEvent(item=self._hidden_item(json.loads(json.dumps(raw, default=str))))
        return (*self._workflow.tool_result(raw["call_id"]), result)

    def _agent_updated(self, agent: agents.Agent[Any]) -> Events:
        bound = self._resolver.find(agent)
        if bound is None or bound.address == self._agent.address:
            return ()
        self._agent = bound
        self.guarded = self._workflow.plain = bool(output_guardrails(bound))
        name = " ".join(bound.spec.name.replace("_", " ").split())
        return (*self._workflow.finish(), ProgressUpdateEvent(text=f"Handing over to {name}"))

    @property
    def _handoff_tool_names(self) -> set[str]:
        return {
            agents.Handoff.default_tool_name(target)
            for target in self._agent.agent.handoffs
            if isinstance(target, agents.Agent)
        }

    # -- parts -------------------------------------------------------------------------------------------

    def _hidden_item(self, raw: dict[str, Any]) -> HiddenContextItem:
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
            annotations = [
                annotation
                for raw in part.annotations or []
                if (annotation := to_annotation(raw, self._link_hosts)) is not None
            ]
            return AssistantMessageContent(
                text=showable_text(part.text, self._link_hosts), annotations=annotations
            )
        if part.type == "refusal":
            return AssistantMessageContent(text=showable_text(part.refusal, self._link_hosts))
        return None


_RAW_EVENTS: dict[str, Any] = {
    "response.created": EventConverter._created,  # noqa: SLF001  (a table of this class's own methods)
    "response.output_item.added": EventConverter._item_added,  # noqa: SLF001
    "response.content_part.added": EventConverter._part_added,  # noqa: SLF001
    "response.output_text.delta": EventConverter._text_delta,  # noqa: SLF001
    "response.refusal.delta": EventConverter._text_delta,  # noqa: SLF001
    "response.output_text.annotation.added": EventConverter._annotation,  # noqa: SLF001
    "response.content_part.done": EventConverter._part_done,  # noqa: SLF001
    "response.output_item.done": EventConverter._item_done,  # noqa: SLF001
    "response.reasoning_summary_text.delta": EventConverter._summary_delta,  # noqa: SLF001
    "response.reasoning_summary_part.done": EventConverter._summary_done,  # noqa: SLF001
    "response.reasoning_text.delta": EventConverter._reasoning_delta,  # noqa: SLF001
    "response.reasoning_text.done": EventConverter._reasoning_done,  # noqa: SLF001
}
