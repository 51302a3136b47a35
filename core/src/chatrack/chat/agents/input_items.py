"""From stored items to input items of the Agents SDK, in a form that both of OpenAI's APIs accept."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
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

from chatrack.chat.agents.workflow import WORKFLOW_METADATA
from chatrack.interfaces.records import ItemRecord, record_to_item

_log = structlog.get_logger(source="chatrack.history")

MODEL_ITEM = "chatrack.model_item"
"""The kind of a hidden context item that holds an item of a model: a call, a result, or reasoning."""

SOURCE_MODEL = "chatrack.source_model"
"""The key of an input item that names the model it came from; removed before a model sees the item."""

NO_RESULT = "No result was recorded because the turn was interrupted. The tool may have finished."


def model_item_content(item: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the content of the hidden context item that holds an item of a model.

    Args:
        item: the item as the provider gave it, its ids included.
        model: the name of the model.
    """
    return {"kind": MODEL_ITEM, "model": model, "item": item}


def without_reasoning_text(item: HiddenContextItem) -> HiddenContextItem | None:
    """Return the hidden item of a model without reasoning that can be read; None if nothing else is in it.

    Encrypted reasoning stays, for the provider that made it.
    """
    content = item.content
    if not isinstance(content, dict) or content.get("kind") != MODEL_ITEM:
        return item
    raw = content["item"]
    if raw.get("type") != "reasoning":
        return item
    if not raw.get("encrypted_content"):
        return None
    kept = {name: raw[name] for name in ("type", "id", "encrypted_content") if name in raw}
    return item.model_copy(update={"content": {**content, "item": {**kept, "summary": []}}})


async def to_input_items(
    records: Sequence[ItemRecord], attachments: Mapping[str, ResponseInputContentParam] = MappingProxyType({})
) -> list[TResponseInputItem]:
    """Convert stored items to input items, every call followed by its result.

    Args:
        records: the history, oldest first.
        attachments: what the model is shown of attachments, by their ids; a line tells of the other ones.
    """
    converter = _Converter(attachments)
    output: list[TResponseInputItem] = []
    used_ids: set[str] = set()
    # Turn by turn: a call has its result in the same turn, and another turn may use the same id.
    for turn_id, turn in groupby(records, key=lambda record: record.turn_id):
        items = [item for record in turn if (item := _decode(record)) is not None]
        converted = await converter.to_agent_input(items)
        output += pair_tool_calls(_rename_repeated_calls(converted, used_ids, str(turn_id)))
    return output


def _decode(record: ItemRecord) -> ThreadItem | None:
    if record.provider_metadata == WORKFLOW_METADATA:
        return None  # the model has its own record of what the workflow shows
    # An item that cannot be decoded must not make its thread unusable.
    try:
        return record_to_item(record)
    except ValueError:
        _log.warning("an item cannot be decoded", thread=record.thread_id, item=record.id)
        return None


def _rename_repeated_calls(
    items: Sequence[TResponseInputItem], used_ids: set[str], turn_id: str
) -> list[TResponseInputItem]:
    """Rename the calls of a turn whose ids an earlier turn has used: some providers count from one each time."""
    raws: Sequence[Any] = items  # typed loosely, to read any key
    ids = {raw["call_id"] for raw in raws if raw.get("type") == "function_call"}
    new_ids = {call_id: short_call_id(f"{turn_id} {call_id}") for call_id in ids & used_ids}
    used_ids |= ids
    renamed: list[Any] = [
        {**raw, "call_id": new_ids[raw["call_id"]]} if raw.get("call_id") in new_ids else raw for raw in raws
    ]
    return renamed


def short_call_id(text: str) -> str:
    """Derive from a text a call id that every provider accepts: the strictest wants nine letters and digits."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:9]


def pair_tool_calls(items: Sequence[TResponseInputItem]) -> list[TResponseInputItem]:
    """Put every call of a turn directly before its result; a call whose result was lost gets one that says so.

    APIs refuse a call without a result and a result without a call. Chat Completions also refuses anything
    between the two, and Responses refuses reasoning without the output that followed it.
    """
    output: list[TResponseInputItem] = []
    calls: dict[str, list[TResponseInputItem]] = {}
    """The calls whose results are awaited, by id, each after its reasoning."""
    results: dict[str, TResponseInputItem] = {}
    deferred: list[TResponseInputItem] = []
    """What tools showed before the last of the calls had its result."""
    reasoning: list[TResponseInputItem] = []
    """Reasoning whose output comes next."""

    def flush() -> None:
        for call in calls.values():
            output.extend(call)
        output.extend(
            results.get(call_id) or {"type": "function_call_output", "call_id": call_id, "output": NO_RESULT}
            for call_id in calls
        )
        output.extend(deferred)
        for part in (calls, results, deferred):
            part.clear()

    raws: Sequence[Any] = items  # typed loosely, to read any key
    last_result = {
        raw["call_id"]: index for index, raw in enumerate(raws) if raw.get("type") == "function_call_output"
    }
    for index, item in enumerate(items):
        raw = raws[index]
        kind = raw.get("type")
        if kind == "function_call_output":
            if raw["call_id"] in calls:
                results.setdefault(raw["call_id"], item)
            continue
        if kind == "reasoning":
            reasoning.append(item)
            continue
        from_model = raw.get("role") == "assistant" or SOURCE_MODEL in raw
        has_pending_result = any(
            call_id not in results and last_result.get(call_id, -1) > index for call_id in calls
        )
        if kind == "function_call":
            if results and not has_pending_result:
                flush()
            calls[raw["call_id"]] = [*reasoning, item]
        elif from_model and not results:
            output += [*reasoning, item]  # of the same response as the calls, in whatever order it arrived
        elif has_pending_result:
            deferred.append(item)
        else:
            flush()
            output += [*reasoning, item] if from_model else [item]
        reasoning.clear()
    flush()
    return output


class _Converter(ThreadItemConverter):
    """Converts every kind of item: what the model cannot see becomes a line of text.

    Args:
        attachments: what the model is shown of attachments, by their ids.
    """

    def __init__(self, attachments: Mapping[str, ResponseInputContentParam]) -> None:
        self._attachments = attachments

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # A plain string: Chat Completions refuses content parts of this role.
        text = "".join(part.text for part in item.content)
        return {"role": "assistant", "content": text} if text.strip() else None

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        part = self._attachments.get(attachment.id)
        return part or _text(
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
    """Return an item of a model, marked with the model: what another model can use of it is decided by `InputFilter`."""
    item = {**content["item"], SOURCE_MODEL: content.get("model")}
    if item.get("type") == "function_call":
        item["arguments"] = item.get("arguments") or "{}"
    return item  # type: ignore[return-value]  # the provider's item, and the mark
