"""Encoding of events of the Responses API, and the events of each kind of item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fake_openai.behaviour import fragments, interleave, words
from tests.fake_openai.frame import dump, padding, quote
from tests.fake_openai.responses_items import THOUGHT, text_part

Frames = Iterator[tuple[bytes, bool]]


class Events:
    """Encodes events and numbers them."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.number = 0

    def event(self, kind: str, fields: str) -> bytes:
        """Return one event; `fields` is JSON text without the braces."""
        data = f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{self.number},{fields}}}\n\n'
        self.number += 1
        return data.encode()

    def deltas(
        self, kind: str, fields: str, pieces: tuple[str, ...] | list[str], tail: str = ""
    ) -> Iterator[bytes]:
        """Yield an event per piece. This is the hot loop: the common parts are encoded once."""
        head = f'event: {kind}\ndata: {{"type":"{kind}",{fields},"sequence_number":'.encode()
        for piece in pieces:
            rest = (tail + padding(self.body, piece)).encode()
            yield b'%b%d,"delta":%b%b}\n\n' % (head, self.number, quote(piece), rest)
            self.number += 1

    def added(self, index: int, item: dict[str, Any]) -> bytes:
        """Return the event that adds an item."""
        return self.event("response.output_item.added", f'"output_index":{index},"item":{dump(item)}')

    def done(self, index: int, item: dict[str, Any]) -> bytes:
        """Return the event that completes an item."""
        return self.event("response.output_item.done", f'"output_index":{index},"item":{dump(item)}')


def item_frames(events: Events, index: int, item: dict[str, Any], pieces: tuple[str, ...]) -> Frames:
    """Yield the events of an item, each with a flag for tokens; `pieces` are those of a message."""
    kind = item["type"]
    if kind == "message":
        yield from _message_frames(events, index, item, pieces)
    elif kind == "function_call":
        yield from call_frames(events, index, [item])
    elif kind == "reasoning":
        thinks = _text_events if item.get("content") else _summary_events
        yield from ((event, False) for event in thinks(events, index, item))
    else:
        yield from ((event, False) for event in _hosted_events(events, index, item))


def _summary_events(events: Events, index: int, item: dict[str, Any]) -> Iterator[bytes]:
    at = f'"item_id":"{item["id"]}","output_index":{index},"summary_index":0'
    empty, full = dump({"type": "summary_text", "text": ""}), dump(item["summary"][0])
    yield events.added(index, {**item, "summary": []})
    yield events.event("response.reasoning_summary_part.added", f'{at},"part":{empty}')
    yield from events.deltas("response.reasoning_summary_text.delta", at, words(THOUGHT))
    yield events.event("response.reasoning_summary_text.done", f'{at},"text":{dump(THOUGHT)}')
    yield events.event("response.reasoning_summary_part.done", f'{at},"part":{full}')
    yield events.done(index, item)


def _text_events(events: Events, index: int, item: dict[str, Any]) -> Iterator[bytes]:
    at = f'"item_id":"{item["id"]}","output_index":{index},"content_index":0'
    empty, full = dump({"type": "reasoning_text", "text": ""}), dump(item["content"][0])
    yield events.added(index, {**item, "content": []})
    yield events.event("response.content_part.added", f'{at},"part":{empty}')
    yield from events.deltas("response.reasoning_text.delta", at, words(THOUGHT))
    yield events.event("response.reasoning_text.done", f'{at},"text":{dump(THOUGHT)}')
    yield events.event("response.content_part.done", f'{at},"part":{full}')
    yield events.done(index, item)


def _hosted_events(events: Events, index: int, item: dict[str, Any]) -> Iterator[bytes]:
    """Yield the events of a hosted tool: a web search, or the generation of an image."""
    at = f'"item_id":"{item["id"]}","output_index":{index}'
    if item["type"] == "web_search_call":
        yield events.added(index, {"id": item["id"], "type": item["type"], "status": "in_progress"})
        stages = ["in_progress", "searching", "completed"]
    else:
        started = {"id": item["id"], "type": item["type"], "status": "generating", "result": None}
        yield events.added(index, started)
        stages = ["in_progress", "generating", "completed"]
    for stage in stages:
        yield events.event(f"response.{item['type']}.{stage}", at)
    yield events.done(index, item)


def call_frames(
    events: Events, first: int, items: list[dict[str, Any]], *, interleaved: bool = False
) -> Frames:
    """Yield the events of function calls whose output indexes begin at `first`."""
    if not interleaved:
        for index, item in enumerate(items, first):
            yield _call_added(events, index, item), False
            for delta in _call_deltas(events, index, item, fragments(item["arguments"])):
                yield delta, True
            yield from _call_done(events, index, item)
        return
    for index, item in enumerate(items, first):
        yield _call_added(events, index, item), False
    rows = [
        [(index, item, piece) for piece in fragments(item["arguments"])]
        for index, item in enumerate(items, first)
    ]
    for index, item, piece in interleave(rows):
        for delta in _call_deltas(events, index, item, [piece]):
            yield delta, True
    for index, item in enumerate(items, first):
        yield from _call_done(events, index, item)


def _call_added(events: Events, index: int, item: dict[str, Any]) -> bytes:
    return events.added(index, {**item, "status": "in_progress", "arguments": ""})


def _call_deltas(events: Events, index: int, item: dict[str, Any], pieces: list[str]) -> Iterator[bytes]:
    at = f'"item_id":"{item["id"]}","output_index":{index}'
    return events.deltas("response.function_call_arguments.delta", at, pieces)


def _call_done(events: Events, index: int, item: dict[str, Any]) -> Frames:
    at = f'"item_id":"{item["id"]}","output_index":{index}'
    done = f'{at},"arguments":{dump(item["arguments"])},"name":{dump(item["name"])}'
    yield events.event("response.function_call_arguments.done", done), False
    yield events.done(index, item), False


def _message_frames(events: Events, index: int, item: dict[str, Any], pieces: tuple[str, ...]) -> Frames:
    at = f'"item_id":"{item["id"]}","output_index":{index},"content_index":0'
    part = item["content"][0]
    refusal = part["type"] == "refusal"
    empty = {"type": "refusal", "refusal": ""} if refusal else text_part("")
    yield events.added(index, {**item, "status": "in_progress", "content": []}), False
    yield events.event("response.content_part.added", f'{at},"part":{dump(empty)}'), False
    kind, tail = ("refusal", "") if refusal else ("output_text", ',"logprobs":[]')
    for delta in events.deltas(f"response.{kind}.delta", at, pieces, tail):
        yield delta, True
    for place, annotation in enumerate(part.get("annotations") or []):
        fields = f'{at},"annotation_index":{place},"annotation":{dump(annotation)}'
        yield events.event("response.output_text.annotation.added", fields), False
    field = "refusal" if refusal else "text"
    yield events.event(f"response.{kind}.done", f'{at},"{field}":{dump(part[field])}{tail}'), False
    yield events.event("response.content_part.done", f'{at},"part":{dump(part)}'), False
    yield events.done(index, item), False
