"""The Responses API: what a request means, and the events of its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.upstream.behaviour import Answer, Turn, fragments, words
from bench.upstream.frame import call_id, dump, new_id, padding, quote
from bench.upstream.responses_checks import check

__all__ = ["check", "frames", "read", "whole"]

THOUGHT = "Thinking about what to answer. "
THOUGHT_TOKENS = 16
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


def text_of(content: Any) -> str:
    """The text of a message's content or of a tool's output; other parts show as ``[type]``."""
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
        return Turn("reasoning", "".join(part.get("text", "") for part in item.get("summary") or []))
    return Turn(kind, str(item.get("id", "")))


def read(body: dict[str, Any]) -> tuple[list[Turn], list[str], str]:
    """The conversation, the names of the offered functions, and the instructions."""
    source = body.get("input") or []
    turns = [Turn("user", source)] if isinstance(source, str) else [_turn(item) for item in source]
    tools = [tool["name"] for tool in body.get("tools") or [] if tool["type"] == "function"]
    if body.get("tool_choice") == "none":
        tools = []
    instructions = body.get("instructions")
    if instructions is None:
        instructions = "\n".join(turn.text for turn in turns if turn.kind in ("system", "developer"))
    return turns, tools, instructions


def _shell(body: dict[str, Any]) -> dict[str, Any]:
    """The response object without status, output and usage."""
    echoed = {name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()}
    tools = [{"strict": True, "description": None, **tool} for tool in body.get("tools") or []]
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "error": None,
        "incomplete_details": None,
        "model": body["model"],
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "service_tier": "default",
        "tools": tools,
        **echoed,
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _output(body: dict[str, Any], answer: Answer, reasoning: bool) -> list[dict[str, Any]]:
    """The finished output items."""
    items: list[dict[str, Any]] = []
    if reasoning:
        thought = {
            "id": new_id("rs"),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": THOUGHT}],
        }
        if "reasoning.encrypted_content" in (body.get("include") or []):
            thought["encrypted_content"] = "gAAAAAB" + new_id("").removeprefix("_") * 4
        items.append(thought)
    items.extend(
        {
            "id": new_id("fc"),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments,
            "call_id": call_id(),
            "name": call.name,
        }
        for call in answer.calls
    )
    if not answer.calls:
        items.append(
            {
                "id": new_id("msg"),
                "type": "message",
                "status": "completed",
                "content": [_text_part(answer.text)],
                "role": "assistant",
            }
        )
    return items


def _usage(answer: Answer, reasoning: bool, prompt_tokens: int) -> dict[str, Any]:
    thought = THOUGHT_TOKENS if reasoning else 0
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.size + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt_tokens + answer.size + thought,
    }


def whole(body: dict[str, Any], answer: Answer, reasoning: bool, prompt_tokens: int) -> dict[str, Any]:
    """The answer to a request that is not streamed."""
    return {
        **_shell(body),
        "status": "completed",
        "completed_at": int(time.time()),
        "output": _output(body, answer, reasoning),
        "usage": _usage(answer, reasoning, prompt_tokens),
    }


class _Events:
    """Encodes events and numbers them."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.number = 0

    def event(self, kind: str, fields: str) -> bytes:
        """One event; `fields` is JSON text without the braces."""
        data = f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{self.number},{fields}}}\n\n'
        self.number += 1
        return data.encode()

    def deltas(
        self, kind: str, fields: str, pieces: tuple[str, ...] | list[str], tail: str = ""
    ) -> Iterator[bytes]:
        """An event per piece. What they have in common is encoded once: this is the hot loop."""
        head = f'event: {kind}\ndata: {{"type":"{kind}",{fields},"sequence_number":'.encode()
        for piece in pieces:
            rest = (tail + padding(self.body, piece)).encode()
            yield b'%b%d,"delta":%b%b}\n\n' % (head, self.number, quote(piece), rest)
            self.number += 1


def frames(
    body: dict[str, Any], answer: Answer, reasoning: bool, prompt_tokens: int
) -> Iterator[tuple[bytes, bool]]:
    """The encoded events of a streamed answer, each with whether it is a token of the answer."""
    events = _Events(body)
    shell = dump(_shell(body))[:-1]
    started = f'"response":{shell},"status":"in_progress","completed_at":null,"output":[],"usage":null}}'
    yield events.event("response.created", started), False
    yield events.event("response.in_progress", started), False
    items = _output(body, answer, reasoning)
    for index, item in enumerate(items):
        if item["type"] == "reasoning":
            for event in _reasoning_events(events, index, item):
                yield event, False
        elif item["type"] == "function_call":
            yield from _call_events(events, index, item)
        else:
            yield from _message_events(events, index, item, answer.pieces)
    usage = dump(_usage(answer, reasoning, prompt_tokens))
    finished = (
        f'"status":"completed","completed_at":{int(time.time())},"output":{dump(items)},"usage":{usage}'
    )
    yield events.event("response.completed", f'"response":{shell},{finished}}}'), False


def _reasoning_events(events: _Events, index: int, item: dict[str, Any]) -> Iterator[bytes]:
    at = f'"item_id":"{item["id"]}","output_index":{index},"summary_index":0'
    empty, full = dump({"type": "summary_text", "text": ""}), dump(item["summary"][0])
    yield events.event(
        "response.output_item.added", f'"output_index":{index},"item":{dump({**item, "summary": []})}'
    )
    yield events.event("response.reasoning_summary_part.added", f'{at},"part":{empty}')
    yield from events.deltas("response.reasoning_summary_text.delta", at, words(THOUGHT))
    yield events.event("response.reasoning_summary_text.done", f'{at},"text":{dump(THOUGHT)}')
    yield events.event("response.reasoning_summary_part.done", f'{at},"part":{full}')
    yield events.event("response.output_item.done", f'"output_index":{index},"item":{dump(item)}')


def _call_events(events: _Events, index: int, item: dict[str, Any]) -> Iterator[tuple[bytes, bool]]:
    at = f'"item_id":"{item["id"]}","output_index":{index}'
    added = dump({**item, "status": "in_progress", "arguments": ""})
    yield events.event("response.output_item.added", f'"output_index":{index},"item":{added}'), False
    for delta in events.deltas("response.function_call_arguments.delta", at, fragments(item["arguments"])):
        yield delta, True
    done = f'{at},"arguments":{dump(item["arguments"])},"name":{dump(item["name"])}'
    yield events.event("response.function_call_arguments.done", done), False
    yield events.event("response.output_item.done", f'"output_index":{index},"item":{dump(item)}'), False


def _message_events(
    events: _Events, index: int, item: dict[str, Any], pieces: tuple[str, ...]
) -> Iterator[tuple[bytes, bool]]:
    at = f'"item_id":"{item["id"]}","output_index":{index},"content_index":0'
    part = item["content"][0]
    added = dump({**item, "status": "in_progress", "content": []})
    yield events.event("response.output_item.added", f'"output_index":{index},"item":{added}'), False
    yield events.event("response.content_part.added", f'{at},"part":{dump(_text_part(""))}'), False
    for delta in events.deltas("response.output_text.delta", at, pieces, ',"logprobs":[]'):
        yield delta, True
    yield events.event("response.output_text.done", f'{at},"text":{dump(part["text"])},"logprobs":[]'), False
    yield events.event("response.content_part.done", f'{at},"part":{dump(part)}'), False
    yield events.event("response.output_item.done", f'"output_index":{index},"item":{dump(item)}'), False
