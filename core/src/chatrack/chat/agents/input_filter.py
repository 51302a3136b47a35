"""What a model is shown of what models made: all of its own, and of another's what any of them can use.

Thoughts, signatures and the calls of hosted tools mean something to the provider alone that they came from. A
conversation may change its provider between two turns, and, by a handoff, within one.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import agents
from agents import ModelResponse, TResponseInputItem
from agents.run import CallModelData, ModelInputData

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.history import SOURCE_MODEL, short_id

_FAKE = "__fake_id__"
"""What the Agents SDK calls everything that came over Chat Completions."""


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class InputFilter:
    """Prepares the input of every call of a model in one turn.

    Args:
        bound: finds what an agent of the Agents SDK was made of.
    """

    def __init__(self, bound: Callable[[agents.Agent[Any]], BoundAgent | None]) -> None:
        self._bound = bound
        self._made_by: dict[str, str] = {}

    def note(self, agent: agents.Agent[Any], response: ModelResponse) -> None:
        """Take note of what a model made in this turn.

        Args:
            agent: whose model it is.
            response: what it gave.
        """
        model = self._model_of(agent)
        for item in response.output:
            for name in _names(item.model_dump(include={"id", "call_id", "provider_data"})):
                self._made_by[name] = model

    def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """Give the input that the model of an agent can use; called by the Agents SDK before each call."""
        model = self._model_of(data.agent)
        raws: Sequence[Any] = data.model_data.input
        renamed: dict[str, str] = {}
        shown: list[Any] = []
        for raw in raws:
            item = dict(raw)
            origin = item.pop(SOURCE_MODEL, None) or self._origin(item)
            kind = item.get("type")
            if kind == "function_call":
                shown.append(_call(item, same=_provider(origin) == _provider(model), renamed=renamed))
            elif kind == "function_call_output":
                shown.append({**_plain(item), "call_id": renamed.get(item["call_id"], item["call_id"])})
            elif "role" in item:
                shown.append(item if item["role"] != "assistant" else _message(item, same=origin == model))
            elif kind == "reasoning":
                if origin == model and _is_replayable(item):
                    shown.append(item)
            elif origin is None or origin == model:
                shown.append(item)  # a hosted tool's call, or what the Agents SDK itself adds
        return ModelInputData(input=_drop_orphan_reasoning(shown), instructions=data.model_data.instructions)

    def _origin(self, item: dict[str, Any]) -> str | None:
        return next((self._made_by[name] for name in _names(item) if name in self._made_by), None)

    def _model_of(self, agent: agents.Agent[Any]) -> str:
        bound = self._bound(agent)
        return "" if bound is None else bound.model


def _names(item: dict[str, Any]) -> list[str]:
    """Give what an item can be recognised by."""
    data = item.get("provider_data")
    given = [item.get("call_id"), item.get("id"), data.get("response_id") if isinstance(data, dict) else None]
    return [name for name in given if isinstance(name, str) and name and name != _FAKE]


def _provider(model: str | None) -> str:
    return (model or "").partition("/")[0]


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("type", "call_id", "output") if name in item}


def _call(item: dict[str, Any], *, same: bool, renamed: dict[str, str]) -> dict[str, Any]:
    call_id = item["call_id"]
    call = {
        "type": "function_call",
        "call_id": call_id,
        "name": _NOT_IN_NAMES.sub("_", item["name"])[:64]
        or "unknown",  # models make names up, and APIs refuse them
        "arguments": _arguments(item.get("arguments")),
    }
    if not same:
        # What one provider calls a call another may find too long, or of the wrong letters.
        call["call_id"] = renamed[call_id] = short_id(call_id)
    elif item.get("provider_data"):
        call["provider_data"] = item["provider_data"]
    return call


def _arguments(text: str | None) -> str:
    """Give arguments that every provider can read again; a model may have written nonsense."""
    try:
        known = isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        known = False
    return (text or "{}") if known else json.dumps({"arguments": text}, ensure_ascii=False)


def _message(item: dict[str, Any], *, same: bool) -> dict[str, Any]:
    content = item.get("content")
    if same or isinstance(content, str):
        # What the Agents SDK made of Chat Completions it knows again by that id alone.
        return {name: value for name, value in item.items() if name != "id" or value == _FAKE}
    parts = content if isinstance(content, list) else []
    text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    return {"role": "assistant", "content": text}


def _is_replayable(item: dict[str, Any]) -> bool:
    # Nothing is kept at the provider: a thought that does not carry all it is cannot be found there.
    return bool(item.get("encrypted_content") or item.get("content") or item.get("provider_data"))


def _drop_orphan_reasoning(items: Sequence[Any]) -> list[TResponseInputItem]:
    """Drop thoughts that are not followed by what a model made of them."""
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
