"""What the model is shown of a thread: a bounded window, in a form that both APIs accept (T2 T15)."""

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

from chatrack.interfaces.records import ItemRecord, record_to_item

_log = structlog.get_logger(source="chatrack.history")

CHARACTERS = 4
"""So many characters are counted as one token."""

KEPT = 0.6
"""Of a full window so much is kept, so that the provider's prompt cache survives the turns in between."""

MODEL_ITEM = "chatrack.model_item"
"""The kind of a hidden context item that holds one of the model's own items."""

NO_RESULT = "No result was recorded: the turn was interrupted while the tool ran."


def model_item_content(item: dict[str, Any], model: str) -> dict[str, Any]:
    """Give the content of the hidden item that keeps one of the model's own items (a call, a result, reasoning).

    Args:
        item: the item as the provider gave it, its ids included.
        model: the name of the model it came from.
    """
    return {"kind": MODEL_ITEM, "model": model, "item": item}


def window(records: Sequence[ItemRecord], budget: int) -> list[ItemRecord]:
    """Drop the oldest whole turns when the window is full.

    Args:
        records: the thread from the start of the current window on, oldest first.
        budget: tokens, estimated at four characters each.

    Returns:
        All records if they fit; else the newest whole turns that fit in 60 % of the budget, at least one.
    """
    if sum(map(_tokens, records)) <= budget:
        return list(records)
    turns = [list(group) for _, group in groupby(records, key=lambda record: record.turn_id)]
    kept: list[ItemRecord] = []
    size = 0
    for turn in reversed(turns):
        size += sum(map(_tokens, turn))
        if kept and size > budget * KEPT:
            break
        kept = [*turn, *kept]
    return kept


def _tokens(record: ItemRecord) -> int:
    return math.ceil(len(record.data) / CHARACTERS)


async def to_input(records: Sequence[ItemRecord]) -> list[TResponseInputItem]:
    """Turn records into what the Agents SDK takes, every call with its result.

    Args:
        records: the window, oldest first.
    """
    converter = _Converter()
    output: list[TResponseInputItem] = []
    # Turn by turn: a call has its result in the same turn, and ids may repeat in another.
    for _, turn in groupby(records, key=lambda record: record.turn_id):
        items = [item for record in turn if (item := _readable(record)) is not None]
        output += paired(await converter.to_agent_input(items))
    return output


def _readable(record: ItemRecord) -> ThreadItem | None:
    # One bad item must not make its thread unusable for ever (T19).
    try:
        return record_to_item(record)
    except ValueError:
        _log.warning("an item cannot be read", thread=record.thread_id, item=record.id)
        return None


def paired(items: Sequence[TResponseInputItem]) -> list[TResponseInputItem]:
    """Put every call of a turn directly before its result; one whose result was lost gets one that says so.

    APIs refuse a call without a result and a result without a call; Chat Completions also refuses anything
    between the two (T32).
    """
    output: list[TResponseInputItem] = []
    calls: dict[str, TResponseInputItem] = {}
    results: dict[str, TResponseInputItem] = {}
    between: list[TResponseInputItem] = []  # what tools showed before the last of them had its result

    def flush() -> None:
        output.extend(calls.values())
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
        awaited = any(call_id not in results and last.get(call_id, -1) > index for call_id in calls)
        if kind == "function_call":
            if results and not awaited:
                flush()
            calls[raw["call_id"]] = item
        elif raw.get("role") == "assistant" and not results:
            output.append(item)  # said in the same breath as the calls, whatever order it arrived in
        elif awaited:
            between.append(item)
        else:
            flush()
            output.append(item)
    flush()
    return output


class _Converter(ThreadItemConverter):
    """Turns every kind of item into something; what the model cannot see becomes a line of text (T19)."""

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # A plain string: content parts of this role are refused by Chat Completions (T2).
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
            return _portable(content["item"])
        if not isinstance(content, str):
            item = item.model_copy(update={"content": msgspec.json.encode(content).decode()})
        return await super().hidden_context_to_input(item)


def _text(text: str) -> ResponseInputTextParam:
    return {"type": "input_text", "text": text}


def _portable(item: dict[str, Any]) -> TResponseInputItem | None:
    """Give a model's own item in the form that any provider accepts: without the ids that one of them gave it."""
    if item.get("type") == "function_call":
        return {
            "type": "function_call",
            "call_id": item["call_id"],
            "name": item["name"],
            "arguments": item.get("arguments") or "{}",
        }
    if item.get("type") == "function_call_output":
        return {
            "type": "function_call_output",
            "call_id": item["call_id"],
            "output": item["output"],
        }
    return None  # reasoning and hosted tools mean something to the response they came from only
