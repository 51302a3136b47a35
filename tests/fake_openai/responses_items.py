"""The completed output items of an answer of the Responses API."""

from __future__ import annotations

from typing import Any

from tests.fake_openai.behaviour import Answer, Call
from tests.fake_openai.citation import QUERY, URL, url_citation
from tests.fake_openai.encrypted_reasoning import seal
from tests.fake_openai.frame import new_id
from tests.fake_openai.model_name import Behaviour

THOUGHT = "Thinking about what to answer. "
THOUGHT_TOKENS = 16
# One grey pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


def output(body: dict[str, Any], answer: Answer, behaviour: Behaviour) -> list[dict[str, Any]]:
    """Return the output items, in the order in which they are streamed."""
    status = "completed" if behaviour.ending == "stop" else "incomplete"
    items: list[dict[str, Any]] = []
    if behaviour.reasoning:
        items.append(_reasoning(body, behaviour))
    if answer.calls:
        said = [_message(answer, behaviour, status)] if answer.pieces else []
        return [*items, *said, *(_call(call, status) for call in answer.calls)]
    if behaviour.searches:
        items.append(_search())
    if behaviour.draws:
        items.append(_image())
    if answer.pieces or status == "completed":  # an answer that ends before its first word has no message
        items.append(_message(answer, behaviour, status))
    return items


def _reasoning(body: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    item: dict[str, Any] = {"id": new_id("rs"), "type": "reasoning"}
    if behaviour.thinks_in_text:
        item |= {"summary": [], "content": [{"type": "reasoning_text", "text": THOUGHT}]}
    else:
        item["summary"] = [{"type": "summary_text", "text": THOUGHT}]
    if "reasoning.encrypted_content" in (body.get("include") or []):
        item["encrypted_content"] = seal()
    return item


def _call(call: Call, status: str) -> dict[str, Any]:
    return {
        "id": new_id("fc"),
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": call.call_id,
        "name": call.name,
    }


def _search() -> dict[str, Any]:
    return {
        "id": new_id("ws"),
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": QUERY, "sources": [{"type": "url", "url": URL}]},
    }


def _image() -> dict[str, Any]:
    return {
        "id": new_id("ig"),
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "result": PNG,
        "revised_prompt": "A grey pixel.",
        "size": "1024x1024",
    }


def text_part(text: str, annotations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the content part with the text of a message."""
    return {"type": "output_text", "annotations": annotations or [], "logprobs": [], "text": text}


def _message(answer: Answer, behaviour: Behaviour, status: str) -> dict[str, Any]:
    if answer.refusal:
        part = {"type": "refusal", "refusal": answer.text}
    else:
        part = text_part(answer.text, [url_citation(answer.text)] if behaviour.searches else [])
    return {
        "id": new_id("msg"),
        "type": "message",
        "status": status,
        "content": [part],
        "role": "assistant",
    }
