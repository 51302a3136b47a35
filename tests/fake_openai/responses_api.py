"""The Responses API: reads requests, and produces the events of an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.fake_openai.behaviour import Answer, Turn
from tests.fake_openai.frame import dump, new_id
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.refusal import server_error
from tests.fake_openai.responses_events import Events, call_frames, item_frames
from tests.fake_openai.responses_items import THOUGHT_TOKENS, output

_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# The reason in `incomplete_details`, by the end of the answer.
_REASONS = {"content_filter": "content_filter", "length": "max_output_tokens"}


def text_of(content: Any) -> str:
    """Return the text of a message's content or of a tool's output; other parts show as ``[type]``."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(part.get("text") or part.get("refusal") or f"[{part['type']}]" for part in content)


def _turn(item: dict[str, Any]) -> Turn:
    kind = item.get("type", "message")
    if kind == "message":
        return Turn(item["role"], text_of(item["content"]))
    if kind == "function_call":
        return Turn("call", f"{item['name']}({item['arguments']})")
    if kind == "function_call_output":
        return Turn("output", text_of(item["output"]))
    if kind == "reasoning":
        parts = [*(item.get("summary") or []), *(item.get("content") or [])]
        return Turn("reasoning", "".join(part.get("text", "") for part in parts))
    return Turn(kind, str(item.get("id", "")))


def read(body: dict[str, Any]) -> tuple[list[Turn], dict[str, Any], str]:
    """Return the conversation, the offered functions, and the instructions."""
    source = body.get("input") or []
    turns = [Turn("user", source)] if isinstance(source, str) else [_turn(item) for item in source]
    tools = {
        tool["name"]: tool.get("parameters") for tool in body.get("tools") or [] if tool["type"] == "function"
    }
    if body.get("tool_choice") == "none":
        tools = {}
    instructions = body.get("instructions")
    if instructions is None:
        instructions = "\n".join(turn.text for turn in turns if turn.kind in ("system", "developer"))
    return turns, tools, instructions


def _shell(body: dict[str, Any]) -> dict[str, Any]:
    """Return the response object without status, output and usage."""
    echoed = {name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()}
    tools = [{"strict": True, "description": None, **tool} for tool in body.get("tools") or []]
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "model": body["model"],
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "service_tier": "default",
        "tools": tools,
        **echoed,
    }


def _usage(answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    thought = THOUGHT_TOKENS if behaviour.reasoning else 0
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.size + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt_tokens + answer.size + thought,
    }


def _outcome(
    answer: Answer, behaviour: Behaviour, prompt_tokens: int, items: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the status, output and usage of a response object when the answer has ended."""
    reason = _REASONS.get(behaviour.ending)
    return {
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "completed_at": None if reason else int(time.time()),
        "output": items,
        "usage": _usage(answer, behaviour, prompt_tokens),
    }


def whole(body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    """Return the answer to a request that is not streamed."""
    items = output(body, answer, behaviour)
    return {**_shell(body), **_outcome(answer, behaviour, prompt_tokens, items)}


class Stream:
    """A streamed answer."""

    def __init__(
        self, body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int
    ) -> None:
        self.body = body
        self.answer = answer
        self.behaviour = behaviour
        self.prompt_tokens = prompt_tokens
        self.events = Events(body)
        self.shell = dump(_shell(body))[:-1]

    def frames(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the encoded events, each with a flag for tokens of the answer."""
        events = self.events
        started = self._response({"status": "in_progress", "output": [], "usage": None})
        yield events.event("response.created", started), False
        yield events.event("response.in_progress", started), False
        items = output(self.body, self.answer, self.behaviour)
        # Interleaved calls are the last items, and are sent together.
        together = len(self.answer.calls) if self.behaviour.interleaved else 0
        alone = len(items) - together
        for index, item in enumerate(items[:alone]):
            yield from item_frames(events, index, item, self.answer.pieces)
        if together:
            yield from call_frames(events, alone, items[alone:], interleaved=True)
        outcome = _outcome(self.answer, self.behaviour, self.prompt_tokens, items)
        yield events.event(f"response.{outcome['status']}", self._response(outcome)), False

    def malformed(self) -> bytes:
        """Return an event with malformed JSON."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"w\n\n'

    def failure(self) -> bytes:
        """Return the event that reports that the provider failed."""
        error = {"code": "server_error", "message": server_error().message}
        if self.behaviour.bare_failure:
            return self.events.event("error", dump({**error, "param": None})[1:-1])
        failed: dict[str, Any] = {"status": "failed", "error": error, "output": [], "usage": None}
        return self.events.event("response.failed", self._response(failed))

    def _response(self, rest: dict[str, Any]) -> str:
        """Return the field `response` of an event."""
        missing = {"error": None, "incomplete_details": None, "completed_at": None} | rest
        return f'"response":{self.shell},{dump(missing)[1:]}'
