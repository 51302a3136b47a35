"""Unique ids for tool calls, and repair of calls that arrive without proper ids or indexes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from openai.types.chat import ChatCompletion
from openai.types.responses import Response


class CallIds:
    """The ids of the tool calls of one request and its response; none is empty, and no two are equal.

    Args:
        taken: the ids in the request.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "CallIds":
        """Collect the ids in a request.

        Args:
            body: the body of the request, of either API.
        """
        items = body.get("input")
        ids = [item.get("call_id") for item in (items if isinstance(items, list) else []) if is_call(item)]
        for message in body.get("messages") or []:
            ids += [call["id"] for call in message.get("tool_calls") or []]
        return cls(call_id for call_id in ids if call_id)

    def unique(self, given: str | None) -> str:
        """Return an id for a call: the provider's own if there is one and it is not taken, else a new one."""
        call_id = given if given and given not in self._taken else f"call_{uuid4().hex}"
        self._taken.add(call_id)
        return call_id


def is_call(item: Any) -> bool:
    """Return whether an item of the Responses API, as JSON, is a function call."""
    return isinstance(item, dict) and item.get("type") == "function_call"


def assign_call_ids(response: object, body: Mapping[str, Any]) -> None:
    """Assign unique ids to the tool calls of a response that was not streamed.

    Args:
        response: the provider's response; changed in place.
        body: the body of the request.
    """
    ids = CallIds.of(body)
    if isinstance(response, ChatCompletion):
        for choice in response.choices or []:
            for call in choice.message.tool_calls or []:
                call.id = ids.unique(call.id)
    elif isinstance(response, Response):
        for item in response.output or []:
            if item.type == "function_call":
                item.call_id = ids.unique(item.call_id)


class _Call(msgspec.Struct):
    index: int
    provider_id: str | None
    name: str | None
    arguments: str = ""

    @property
    def has_complete_arguments(self) -> bool:
        try:
            json.loads(self.arguments)
        except (ValueError, RecursionError):
            return False
        return True


class ChatCalls:
    """Repairs the tool calls in the chunks of one streamed Chat Completion.

    A fragment belongs to a call by its `index`. Some providers leave the index out or give every call the same one,
    and some do so with the id.

    Args:
        ids: the ids of the conversation.
    """

    def __init__(self, ids: CallIds) -> None:
        self._ids = ids
        self._calls: dict[int, _Call] = {}
        """The newest call of each of the provider's indexes."""
        self._count = 0

    def repair(self, fragments: Iterable[Any]) -> None:
        """Set the index and the id of each fragment to those of its call.

        Args:
            fragments: the `tool_calls` of a delta; changed in place.
        """
        for fragment in fragments:
            if not isinstance(fragment, dict):
                continue
            function = fragment.get("function")
            function = function if isinstance(function, dict) else {}
            provider_id, name = fragment.get("id") or None, function.get("name") or None
            index = fragment.get("index")
            if not isinstance(index, int):
                index = -1
            call = self._calls.get(index)
            arguments = function.get("arguments") or ""
            if not isinstance(arguments, str):
                arguments = function["arguments"] = json.dumps(arguments)
            if call is None or _starts_call(call, provider_id, name, arguments):
                call = _Call(index=self._count, provider_id=provider_id, name=name)
                self._calls[index] = call
                self._count += 1
                fragment["id"] = self._ids.unique(provider_id)
                fragment.setdefault("type", "function")
            else:
                fragment.pop("id", None)
                function.pop("name", None)
            fragment["index"] = call.index
            call.arguments += arguments


def _starts_call(call: _Call, provider_id: str | None, name: str | None, arguments: str) -> bool:
    """Return whether a fragment starts a new call although its index is that of another call."""
    if provider_id is not None and provider_id != call.provider_id:
        return True
    if name not in {None, call.name} and provider_id is None:
        return True
    # Some providers repeat the name in every fragment: it starts a call only if the previous one is complete.
    return name is not None and arguments != "" and call.has_complete_arguments
