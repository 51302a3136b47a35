"""Tool calls as providers send them, made fit to be told apart."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from openai.types.chat import ChatCompletion
from openai.types.responses import Response


class CallIds:
    """The ids of the calls of one request and its response: none is empty, none is there twice.

    Args:
        taken: the ids that the request holds.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "CallIds":
        """Take those that a request holds.

        Args:
            body: the request's, of either API.
        """
        items = body.get("input")
        calls = [item.get("call_id") for item in (items if isinstance(items, list) else []) if is_call(item)]
        for message in body.get("messages") or []:
            calls += [call["id"] for call in message.get("tool_calls") or []]
        return cls(call_id for call_id in calls if call_id)

    def unique(self, given: str | None) -> str:
        """Give a call its id: the provider's own if it has one that is not taken, else a new one."""
        call_id = given if given and given not in self._taken else f"call_{uuid4().hex}"
        self._taken.add(call_id)
        return call_id


def is_call(item: Any) -> bool:
    """Tell whether an item of the Responses API, as JSON, is a call of a tool."""
    return isinstance(item, dict) and item.get("type") == "function_call"


def assign_call_ids(answer: object, body: Mapping[str, Any]) -> None:
    """Give the calls of an answer in one piece ids of their own.

    Args:
        answer: what the provider gave; changed in place.
        body: the request's.
    """
    ids = CallIds.of(body)
    if isinstance(answer, ChatCompletion):
        for choice in answer.choices or []:
            for call in choice.message.tool_calls or []:
                call.id = ids.unique(call.id)
    elif isinstance(answer, Response):
        for item in answer.output or []:
            if item.type == "function_call":
                item.call_id = ids.unique(item.call_id)


class _Call(msgspec.Struct):
    number: int
    given: str | None
    name: str | None
    arguments: str = ""

    @property
    def complete(self) -> bool:
        try:
            json.loads(self.arguments)
        except (ValueError, RecursionError):
            return False
        return True


class ChatCalls:
    """Repairs the tool calls in the chunks of one streamed Chat Completion.

    Fragments belong to a call by `index`; some providers leave it out, or give every call the same, and some
    give calls no id, or every call the same.

    Args:
        ids: the ids of the conversation.
    """

    def __init__(self, ids: CallIds) -> None:
        self._ids = ids
        self._calls: dict[int, _Call] = {}
        """The newest call of each index."""
        self._count = 0

    def repair(self, fragments: Iterable[Any]) -> None:
        """Give fragments the index and the id of their call.

        Args:
            fragments: the `tool_calls` of a delta; changed in place.
        """
        for fragment in fragments:
            if not isinstance(fragment, dict):
                continue
            function = fragment.get("function")
            function = function if isinstance(function, dict) else {}
            given, name = fragment.get("id") or None, function.get("name") or None
            index = fragment.get("index")
            if not isinstance(index, int):
                index = -1
            call = self._calls.get(index)
            arguments = function.get("arguments") or ""
            if not isinstance(arguments, str):
                arguments = function["arguments"] = json.dumps(arguments)
            if call is None or _begins(call, given, name, arguments):
                call = _Call(number=self._count, given=given, name=name)
                self._calls[index] = call
                self._count += 1
                fragment["id"] = self._ids.unique(given)
                fragment.setdefault("type", "function")
            else:
                fragment.pop("id", None)
                function.pop("name", None)
            fragment["index"] = call.number
            call.arguments += arguments


def _begins(call: _Call, given: str | None, name: str | None, arguments: str) -> bool:
    """Tell whether a fragment begins a call of its own although its index is that of another."""
    if given is not None and given != call.given:
        return True
    if name not in {None, call.name} and given is None:
        return True
    # Some repeat the name with every fragment: it counts when the call before has all it needs.
    return name is not None and arguments != "" and call.complete
