"""Holds the text of guarded agents back until their guardrails have passed it."""

import asyncio
import re
from collections.abc import Sequence

import msgspec
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageItem,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.guardrail_calls import GuardrailCalls, output_guardrails
from chatrack.chat.agents.input_items import without_reasoning_text
from chatrack.chat.agents.link_filter import LinkFilter
from chatrack.chat.turns.text_delta import TextDelta

Event = ThreadStreamEvent | TextDelta

MAX_SENTENCE = 1000
"""The characters after which a sentence without an end is cut at a space."""

_SENTENCE_END = re.compile(
    # Latin ends need a space after them; those of Chinese and Japanese are followed by the next sentence.
    "[.!?\u2026][\"')\\]\u201d\u2019\u00bb*_]*\\s+|\n+|[\u3002\uff01\uff1f\uff61][\"'\u300d\u300f\uff09\u201d\u2019]*\\s*"
)
_LONGEST_END = 8


def sentence_end(text: str, start: int = 0) -> int:
    """Return the index after the last complete sentence of a text; 0 if there is none.

    What a sentence ends with is known to have ended too: a word is never cut.

    Args:
        text: the text.
        start: where to begin the search; there is no end of a sentence before it.
    """
    end = 0
    for match in _SENTENCE_END.finditer(text, max(0, start - _LONGEST_END)):
        end = match.end()
    if end == 0 and len(text) > MAX_SENTENCE:
        end = max(text.rfind(" "), text.rfind("\t")) + 1
    return end


class _Part(msgspec.Struct):
    checked: str = ""  # what of the model's text has been checked
    released: str = ""  # what was sent in its place
    held: str = ""  # what has arrived since
    links: LinkFilter | None = None  # filters what is sent


class OutputGuard:
    """Checks what the agents of one turn answer.

    An agent without output guardrails is not affected. Of one that has them, messages are held back: by sentence if all
    of its guardrails can check sentences, else until they are complete. The readable part of its reasoning is dropped.

    Links are removed before the guardrails check, and once more from what they return: text that is replaced may make a
    link of what is around it.

    Args:
        calls: calls the guardrails.
        link_hosts: the hosts that links may lead to; None for all.
    """

    def __init__(self, calls: GuardrailCalls, link_hosts: Sequence[str] | None = None) -> None:
        self.replaced_texts: dict[str, str] = {}
        """What takes the place of texts that the model wrote in this turn, also in its own input."""
        self._calls = calls
        self._link_hosts = link_hosts
        self._parts: dict[str, dict[int, _Part]] = {}
        """The parts of the messages that are being streamed, by message and content index."""
        self._responses = 0
        self._checked_responses = 0
        self._response_checked = asyncio.Event()

    async def check(self, events: Sequence[Event], agent: BoundAgent) -> Sequence[Event]:
        """Return the events that may be stored and sent.

        Args:
            events: the events of an agent, in order.
            agent: the agent.

        Raises:
            Withheld: a guardrail tripped or failed.
        """
        if not output_guardrails(agent):
            return events
        return [passed for event in events for passed in await self._check(event, agent)]

    def response_checked(self) -> None:
        """Note that all events of a model's response have been checked."""
        self._checked_responses += 1
        self._response_checked.set()

    async def after_model_call(self) -> None:
        """Wait until the response that a model has completed is checked: only then may its tools be called."""
        self._responses += 1
        while self._checked_responses < self._responses:
            self._response_checked.clear()
            await self._response_checked.wait()

    async def _check(self, event: Event, agent: BoundAgent) -> Sequence[Event]:
        if isinstance(event, TextDelta):
            return await self._hold(event, agent)
        if isinstance(event, ThreadItemAddedEvent) and isinstance(event.item, AssistantMessageItem):
            self._parts[event.item.id] = {}
            return [ThreadItemAddedEvent(item=event.item.model_copy(update={"content": []}))]
        if isinstance(event, ThreadItemUpdatedEvent) and event.item_id in self._parts:
            if isinstance(event.update, AssistantMessageContentPartAdded):
                empty = event.update.model_copy(update={"content": AssistantMessageContent(text="")})
                return [event.model_copy(update={"update": empty})]
            if isinstance(
                event.update, AssistantMessageContentPartDone | AssistantMessageContentPartAnnotationAdded
            ):
                return []  # comes again with the complete message
        if isinstance(event, ThreadItemRemovedEvent):
            self._parts.pop(event.item_id, None)
        if isinstance(event, ThreadItemDoneEvent):
            if isinstance(event.item, AssistantMessageItem):
                return await self._release(event.item, agent)
            if isinstance(event.item, HiddenContextItem):
                item = without_reasoning_text(event.item)
                return [] if item is None else [ThreadItemDoneEvent(item=item)]
        return [event]

    async def _hold(self, delta: TextDelta, agent: BoundAgent) -> Sequence[Event]:
        if not all(bound.guardrail.by_sentence for bound in output_guardrails(agent)):
            return []  # the complete message has all of it
        parts = self._parts.setdefault(delta.item_id, {})
        part = parts.get(delta.content_index)
        if part is None:
            part = parts[delta.content_index] = self._new_part()
        start = len(part.held)
        part.held += delta.text
        end = sentence_end(part.held, start)
        if end:
            end = self._calls.complete_length(part.held[:end], agent)
        if not end:
            return []
        text, part.held = part.held[:end], part.held[end:]
        passed = await self._calls.check_output(text, agent)
        if part.links is not None:
            passed = part.links.feed(passed)
        part.checked += text
        part.released += passed
        events: list[Event] = [TextDelta(delta.item_id, delta.content_index, passed)] if passed else []
        return [*events, *self._calls.take_notices()]

    async def _release(self, message: AssistantMessageItem, agent: BoundAgent) -> Sequence[Event]:
        """Check what is left of a complete message, and return the events that end it."""
        parts = self._parts.pop(message.id, None)
        content = []
        events: list[Event] = []
        for index, complete in enumerate(message.content):
            part = (parts or {}).get(index) or self._new_part()
            if not complete.text.startswith(part.checked):  # the model has changed its mind
                part = self._new_part()
            rest = await self._calls.check_output(complete.text[len(part.checked) :], agent)
            if part.links is not None:
                rest = part.links.feed(rest) + part.links.finish()
            text = part.released + rest
            if text != complete.text:
                self.replaced_texts[complete.text] = text
            annotations = await self._annotations(complete.annotations, agent, moved=text != complete.text)
            checked = AssistantMessageContent(text=text, annotations=annotations)
            content.append(checked)
            if parts is not None:
                if rest:
                    events.append(TextDelta(message.id, index, rest))
                update = AssistantMessageContentPartDone(content_index=index, content=checked)
                events.append(ThreadItemUpdatedEvent(item_id=message.id, update=update))
        if any(part.text.strip() for part in content):
            events.append(ThreadItemDoneEvent(item=message.model_copy(update={"content": content})))
        elif parts is not None:
            events = [ThreadItemRemovedEvent(item_id=message.id)]
        return [*events, *self._calls.take_notices()]

    def _new_part(self) -> _Part:
        return _Part(links=None if self._link_hosts is None else LinkFilter(self._link_hosts))

    async def _annotations(
        self, annotations: Sequence[Annotation], agent: BoundAgent, *, moved: bool
    ) -> list[Annotation]:
        """Return the sources of a text, unless a guardrail replaces something in them.

        Args:
            annotations: the sources.
            agent: the agent.
            moved: whether the text was replaced, so that their places in it are unknown.
        """
        if not annotations:
            return []
        names = "\n".join(
            value
            for annotation in annotations
            for value in annotation.source.model_dump(exclude={"type"}).values()
            if isinstance(value, str)
        )
        if await self._calls.check_output(names, agent) != names:
            return []
        return [
            annotation.model_copy(update={"index": None}) if moved else annotation
            for annotation in annotations
        ]
