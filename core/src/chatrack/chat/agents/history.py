"""What the model is shown of a thread: a bounded window, in a form that both APIs accept."""

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
import structlog
from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    GeneratedImageItem,
    HiddenContextItem,
    ThreadItem,
    UserMessageTagContent,
)
from openai.types.responses import ResponseInputContentParam, ResponseInputTextParam

from chatrack.chat.agents.workflow import PROGRESS
from chatrack.interfaces.records import ItemRecord, record_to_item

_log = structlog.get_logger(source="chatrack.history")

CHARACTERS = 4
"""So many characters are counted as one token."""

KEPT = 0.6
"""Of a full window so much is kept, so that the provider's prompt cache survives the turns in between."""

MODEL_ITEM = "chatrack.model_item"
"""The kind of a hidden context item that holds one of the model's own items."""

SOURCE_MODEL = "chatrack.source_model"
"""The key under which an input item says which model made it; taken off before a model sees the item."""

NO_RESULT = "No result was recorded: the turn was interrupted before the tool had finished."


def model_item_content(item: dict[str, Any], model: str) -> dict[str, Any]:
    """Give the content of the hidden item that keeps one of the model's own items (a call, a result, reasoning).

    Args:
        item: the item as the provider gave it, its ids included.
        model: the name of the model it came from.
    """
    return {"kind": MODEL_ITEM, "model": model, "item": item}


def trim_history(records: Sequence[ItemRecord], budget: int, *, kept: float = KEPT) -> list[ItemRecord]:
    """Drop the oldest whole turns when the window is full.

    Args:
        records: the thread from the start of the current window on, oldest first.
        budget: tokens, estimated at four characters each.
        kept: how much of a full window is kept.

    Returns:
        All records if they fit; else the newest whole turns that fit in that part of the budget, at least one.
    """
    if size_of(records) <= budget:
        return list(records)
    turns = [list(group) for _, group in groupby(records, key=lambda record: record.turn_id)]
    newest: list[ItemRecord] = []
    size = 0
    for turn in reversed(turns):
        size += size_of(turn)
        if newest and size > budget * kept:
            break
        newest = [*turn, *newest]
    return newest


def size_of(records: Sequence[ItemRecord]) -> int:
    """Give about how many tokens records are."""
    return sum(math.ceil(len(record.data) / CHARACTERS) for record in records)


async def to_input(records: Sequence[ItemRecord]) -> list[TResponseInputItem]:
    """Turn records into what the Agents SDK takes, every call with its result.

    Args:
        records: the window, oldest first.
    """
    converter = _Converter()
    output: list[TResponseInputItem] = []
    taken: set[str] = set()
    # Turn by turn: a call has its result in the same turn, and ids may repeat in another.
    for turn_id, turn in groupby(records, key=lambda record: record.turn_id):
        items = [item for record in turn if (item := _readable(record)) is not None]
        given = await converter.to_agent_input(items)
        output += pair_tool_calls(_told_apart(given, taken, str(turn_id)))
    return output


def _readable(record: ItemRecord) -> ThreadItem | None:
    if record.provider_metadata == PROGRESS:
        return None  # the model has its own record of what it did
    # One bad item must not make its thread unusable for ever.
    try:
        return record_to_item(record)
    except ValueError:
        _log.warning("an item cannot be read", thread=record.thread_id, item=record.id)
        return None


def _told_apart(
    items: Sequence[TResponseInputItem], taken: set[str], turn_id: str
) -> list[TResponseInputItem]:
    """Rename the calls of a turn that are called as those of a turn before: some providers count from one each time."""
    raws: Sequence[Any] = items
    ids = {raw["call_id"] for raw in raws if raw.get("type") == "function_call"}
    renamed = {call_id: short_id(f"{turn_id} {call_id}") for call_id in ids & taken}
    taken |= ids
    told: list[Any] = [
        {**raw, "call_id": renamed[raw["call_id"]]} if raw.get("call_id") in renamed else raw for raw in raws
    ]
    return told


def short_id(text: str) -> str:
    """Give a call an id that every provider takes: the strictest wants nine letters and digits."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:9]


def pair_tool_calls(items: Sequence[TResponseInputItem]) -> list[TResponseInputItem]:
    """Put every call of a turn directly before its result; one whose result was lost gets one that says so.

    APIs refuse a call without a result and a result without a call; Chat Completions also refuses anything
    between the two, and Responses a thought without what was thought of.
    """
    output: list[TResponseInputItem] = []
    calls: dict[str, list[TResponseInputItem]] = {}
    results: dict[str, TResponseInputItem] = {}
    between: list[TResponseInputItem] = []  # what tools showed before the last of them had its result
    thoughts: list[TResponseInputItem] = []  # the model's, of what comes next

    def flush() -> None:
        for call in calls.values():
            output.extend(call)
        output.extend(
            results.get(call_id) or {"type": "function_call_output", "call_id": call_id, "output": NO_RESULT}
            for call_id in calls
        )
        output.extend(between)
        for part in (calls, results, between):
            part.clear()

    raws: Sequence[Any] = items
    last = {raw["call_id"]: at for at, raw in enumerate(raws) if raw.get("type") == "function_call_output"}
    for index, item in enumerate(items):
        raw = raws[index]
        kind = raw.get("type")
        if kind == "function_call_output":
            if raw["call_id"] in calls:
                results.setdefault(raw["call_id"], item)
            continue
        if kind == "reasoning":
            thoughts.append(item)
            continue
        awaited = any(call_id not in results and last.get(call_id, -1) > index for call_id in calls)
        if kind == "function_call":
            if results and not awaited:
                flush()
            calls[raw["call_id"]] = [*thoughts, item]
        elif (raw.get("role") == "assistant" or SOURCE_MODEL in raw) and not results:
            output += [*thoughts, item]  # said in the same breath as the calls, whatever order it arrived in
        elif awaited:
            between.append(item)
        else:
            flush()
            output += [*thoughts, item] if raw.get("role") == "assistant" or SOURCE_MODEL in raw else [item]
        thoughts.clear()
    flush()
    return output


class _Converter(ThreadItemConverter):
    """TurnManager every kind of item into something; what the model cannot see becomes a line of text."""

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # A plain string: content parts of this role are refused by Chat Completions.
        text = "".join(part.text for part in item.content)
        return {"role": "assistant", "content": text} if text.strip() else None

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        return _text(
            f"[The user attached a file that you cannot see: {attachment.name}, {attachment.mime_type}]"
        )

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        data = json.dumps(tag.data, ensure_ascii=False)[:2000]
        return _text(f"@{tag.text}: id {tag.id}, {tag.group or 'no group'}, {data}")

    async def generated_image_to_input(
        self, item: GeneratedImageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        return {"role": "user", "content": "[An image was generated and shown to the user.]"}

    async def client_tool_call_to_input(
        self, item: ClientToolCallItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        if item.status == "pending":
            return None
        return [
            {
                "type": "function_call",
                "call_id": item.call_id,
                "name": item.name,
                "arguments": json.dumps(item.arguments, ensure_ascii=False),
            },
            {
                "type": "function_call_output",
                "call_id": item.call_id,
                "output": json.dumps(item.output, ensure_ascii=False),
            },
        ]

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        content = item.content
        if isinstance(content, dict) and content.get("kind") == MODEL_ITEM:
            return _model_item(content)
        if not isinstance(content, str):
            item = item.model_copy(update={"content": msgspec.json.encode(content).decode()})
        return await super().hidden_context_to_input(item)


def _text(text: str) -> ResponseInputTextParam:
    return {"type": "input_text", "text": text}


def _model_item(content: dict[str, Any]) -> TResponseInputItem | None:
    """Give one of a model's own items, and which model it is from: the one it goes to decides what it can use."""
    item = {**content["item"], SOURCE_MODEL: content.get("model")}
    if item.get("type") == "function_call":
        item["arguments"] = item.get("arguments") or "{}"
    return item  # type: ignore[return-value]  # what came from the provider, and the mark
