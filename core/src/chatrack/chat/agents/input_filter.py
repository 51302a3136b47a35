"""Replays provider-specific items only to the provider that produced them.

Reasoning, signatures and the calls of hosted tools mean something only to the provider they came from. A
conversation may change its provider between two turns, and, by a handoff, within one.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import agents
from agents import ModelResponse, TResponseInputItem
from agents.run import CallModelData, ModelInputData

from chatrack.chat.agents.input_items import SOURCE_MODEL, short_call_id
from chatrack.chat.agents.link_filter import showable_text
from chatrack.chat.agents.resolver import AgentResolver

_FAKE_ID = "__fake_id__"
"""The id that the Agents SDK gives to everything that came over Chat Completions."""

_NOT_IN_TOOL_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class InputFilter:
    """The Agents SDK's `call_model_input_filter` of one turn: prepares the input of every call of a model.

    Args:
        resolver: finds an agent's model.
        link_hosts: the hosts that links may lead to; None for all.
    """

    def __init__(self, resolver: AgentResolver, link_hosts: Sequence[str] | None = None) -> None:
        self._resolver = resolver
        self._link_hosts = link_hosts
        self.replaced_texts: Mapping[str, str] = {}
        """What the model reads instead of texts that it wrote in this turn, by what was to be shown of them."""
        self._source_models: dict[str, str] = {}
        """The models of this turn's items, by what the items can be recognised by."""

    def record(self, agent: agents.Agent[Any], response: ModelResponse) -> None:
        """Remember which model produced the items of a response.

        Args:
            agent: the agent whose model it is.
            response: its response.
        """
        model = self._model_of(agent)
        for item in response.output:
            for name in _identifiers(item.model_dump(include={"id", "call_id", "provider_data"})):
                self._source_models[name] = model

    def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """Return the input that an agent's model can use. The Agents SDK calls this before each call of a model."""
        model = self._model_of(data.agent)
        raws: Sequence[Any] = data.model_data.input
        new_call_ids: dict[str, str] = {}
        output: list[Any] = []
        for raw in raws:
            item = dict(raw)
            source = item.pop(SOURCE_MODEL, None) or self._source_of(item)
            kind = item.get("type")
            if kind == "function_call":
                same_provider = _provider(source) == _provider(model)
                output.append(_call(item, same_provider=same_provider, new_call_ids=new_call_ids))
            elif kind == "function_call_output":
                call_id = new_call_ids.get(item["call_id"], item["call_id"])
                output.append({**_plain_output(item), "call_id": call_id})
            elif "role" in item:
                if item["role"] == "assistant":
                    replaced = self._with_replaced_texts(item)
                    output.append(_assistant_message(replaced, same_model=source == model))
                else:
                    # Instructions are the agent's alone: whatever else is in the input is not the operator's.
                    output.append({**item, "role": "user"})
            elif kind == "reasoning":
                if source == model and _is_replayable(item):
                    output.append(item)
            elif source is None or source == model:
                output.append(item)  # the call of a hosted tool, or an item that the Agents SDK adds
        return ModelInputData(input=_drop_orphan_reasoning(output), instructions=data.model_data.instructions)

    def _with_replaced_texts(self, item: dict[str, Any]) -> dict[str, Any]:
        parts = item.get("content")
        if not self.replaced_texts or not isinstance(parts, list):
            return item
        replaced = []
        for part in parts:
            name = "refusal" if "refusal" in part else "text"
            text = self.replaced_texts.get(showable_text(part.get(name) or "", self._link_hosts))
            # The places of annotations in the text have moved.
            changes = {} if text is None else {name: text, "annotations": []}
            replaced.append({**part, **changes})
        return {**item, "content": replaced}

    def _source_of(self, item: dict[str, Any]) -> str | None:
        known = (self._source_models.get(name) for name in _identifiers(item))
        return next((model for model in known if model is not None), None)

    def _model_of(self, agent: agents.Agent[Any]) -> str:
        bound = self._resolver.find(agent)
        return "" if bound is None else bound.model


def _identifiers(item: dict[str, Any]) -> list[str]:
    """Return what an item can be recognised by."""
    data = item.get("provider_data")
    response_id = data.get("response_id") if isinstance(data, dict) else None
    names = [item.get("call_id"), item.get("id"), response_id]
    return [name for name in names if isinstance(name, str) and name and name != _FAKE_ID]


def _provider(model: str | None) -> str:
    return (model or "").partition("/")[0]


def _plain_output(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("type", "call_id", "output") if name in item}


def _call(item: dict[str, Any], *, same_provider: bool, new_call_ids: dict[str, str]) -> dict[str, Any]:
    call_id = item["call_id"]
    call = {
        "type": "function_call",
        "call_id": call_id,
        # Models invent names, and APIs refuse those with other characters.
        "name": _NOT_IN_TOOL_NAMES.sub("_", item["name"])[:64] or "unknown",
        "arguments": _json_arguments(item.get("arguments")),
    }
    if not same_provider:
        # Another provider may refuse the id: too long, or of other characters.
        call["call_id"] = new_call_ids[call_id] = short_call_id(call_id)
    elif item.get("provider_data"):
        call["provider_data"] = item["provider_data"]
    return call


def _json_arguments(text: str | None) -> str:
    """Return arguments that every provider can parse; a model may have written something else."""
    try:
        is_object = isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    return (text or "{}") if is_object else json.dumps({"arguments": text}, ensure_ascii=False)


def _assistant_message(item: dict[str, Any], *, same_model: bool) -> dict[str, Any]:
    content = item.get("content")
    if same_model or isinstance(content, str):
        # The Agents SDK recognises what it made of Chat Completions by the fake id alone.
        return {name: value for name, value in item.items() if name != "id" or value == _FAKE_ID}
    parts = content if isinstance(content, list) else []
    text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    return {"role": "assistant", "content": text}


def _is_replayable(item: dict[str, Any]) -> bool:
    # The provider stores nothing (`store=False`), so reasoning without its content cannot be looked up there.
    return bool(item.get("encrypted_content") or item.get("content") or item.get("provider_data"))


def _drop_orphan_reasoning(items: Sequence[Any]) -> list[TResponseInputItem]:
    """Drop reasoning items that no output follows; the API refuses them."""
    output: list[Any] = []
    for item in reversed(items):
        if item.get("type") == "reasoning":
            follower = output[-1] if output else {}
            if "role" in follower and follower["role"] != "assistant":
                continue
            if not follower or follower.get("type") == "function_call_output":
                continue
        output.append(item)
    return output[::-1]
