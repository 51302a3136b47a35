"""The moderation endpoint: what is flagged is scripted by the input, ``flag:CATEGORY``."""

from __future__ import annotations

import re
from typing import Any

from tests.fake_openai.behaviour import Answer, Turn
from tests.fake_openai.checks import missing
from tests.fake_openai.frame import new_id
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.refusal import RefusedError

DEFAULT_MODEL = "omni-moderation-latest"
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
SCORE = 0.9
_FLAG = re.compile(r"flag:([a-z/-]+)")


def check(body: dict[str, Any]) -> None:
    """Refuse a request without an input, and one with fields that the API does not have."""
    for name in body:
        if name not in {"input", "model"}:
            raise RefusedError(f"Unrecognized request argument supplied: {name}")
    body.setdefault("model", DEFAULT_MODEL)
    if body.get("input") is None:
        raise missing("input")
    texts = _texts(body)
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise RefusedError("'$.input' is invalid. Please check the API reference.", "input")


def read(body: dict[str, Any]) -> tuple[list[Turn], dict[str, Any], str]:
    """Return nothing: a moderation has no conversation."""
    return [], {}, ""


def whole(body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    """Return a result for each text."""
    return {"id": new_id("modr"), "model": body["model"], "results": [_result(text) for text in _texts(body)]}


def _texts(body: dict[str, Any]) -> list[Any]:
    return body["input"] if isinstance(body["input"], list) else [body["input"]]


def _result(text: str) -> dict[str, Any]:
    found = set(_FLAG.findall(text))
    return {
        "flagged": bool(found & set(CATEGORIES)),
        "categories": {name: name in found for name in CATEGORIES},
        "category_scores": {name: SCORE if name in found else 0.0001 for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
