"""The answer that a conversation asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from tests.fake_openai.encrypted_reasoning import signature
from tests.fake_openai.frame import call_id
from tests.fake_openai.model_name import Behaviour

_T = TypeVar("_T")
_CALL = re.compile(r"\bcall ([A-Za-z0-9_-]+) (\{.*)$", re.MULTILINE)
_FIRST = re.compile(r"^first: (.*)$", re.MULTILINE)
_ECHO = re.compile(r"echo: ?(.*)", re.DOTALL)
_GULLIBLE = 2
"""The calls after a user's message after which a gullible model has had enough."""

_WORD = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Call:
    """A function call in an answer; `arguments` is JSON text, passed on unparsed.

    An empty `call_id` means a call without an id.
    """

    name: str
    arguments: str
    call_id: str = ""

    @property
    def signature(self) -> str:
        """The thought signature of the call."""
        return signature(self.call_id)


@dataclass(frozen=True, slots=True)
class Turn:
    """An input item in a form common to both APIs.

    `kind` is a message's role, or ``call``, ``output``, ``reasoning``, or another item's type.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: pieces of text (of a refusal, if `refusal`), then calls."""

    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    refusal: bool = False

    @property
    def text(self) -> str:
        """The complete text."""
        return "".join(self.pieces)

    @property
    def size(self) -> int:
        """The number of tokens in the answer."""
        return len(self.pieces) + sum(len(fragments(call.arguments)) for call in self.calls)


@lru_cache(maxsize=64)
def _plain(tokens: int) -> tuple[str, ...]:
    return tuple(f"w{i} " for i in range(tokens))


def words(text: str) -> tuple[str, ...]:
    """Split a text into the pieces that are streamed."""
    return tuple(_WORD.findall(text))


def fragments(arguments: str) -> list[str]:
    """Split arguments into at least two pieces to be streamed (one if they are shorter than two characters)."""
    size = min(12, max(1, len(arguments) // 2))
    return [arguments[i : i + size] for i in range(0, len(arguments), size)]


def interleave(rows: Sequence[Sequence[_T]]) -> Iterator[_T]:
    """Yield the first element of each row, then the second of each, and so on."""
    for place in range(max(map(len, rows), default=0)):
        yield from (row[place] for row in rows if place < len(row))


def _calls(text: str, tools: Collection[str], behaviour: Behaviour) -> tuple[Call, ...]:
    calls = []
    for name, rest in _CALL.findall(text):
        if name not in tools and not behaviour.gullible:
            continue
        try:
            _, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:  # malformed arguments are passed on, as a model may produce them
            end = len(rest)
        calls.append(Call(name, rest[:end].rstrip(), _call_id(behaviour)))
    return tuple(calls)


def _call_id(behaviour: Behaviour) -> str:
    if behaviour.without_ids:
        return ""
    return "call_0" if behaviour.same_ids else call_id()


def _minimal(schema: Mapping[str, Any]) -> Any:
    """Return the smallest value that a JSON schema of a tool's parameters accepts; unknown types are strings."""
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return _minimal(schema["anyOf"][0])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: _minimal(properties.get(name, {})) for name in schema.get("required") or []}
    plain: dict[Any, Any] = {"integer": 1, "number": 1, "boolean": True, "array": [], "null": None}
    return plain.get(kind, "x")


def _history(turns: Sequence[Turn]) -> str:
    return " | ".join(f"{turn.kind}:{' '.join(turn.text.split())}" for turn in turns)


def decide(
    turns: Sequence[Turn], tools: Mapping[str, Any], instructions: str, behaviour: Behaviour
) -> Answer:
    """Decide the answer to a conversation.

    `turns` is the input without the instructions, `tools` the schemas of the offered functions'
    parameters by the functions' names.
    """
    if behaviour.refuses:
        return Answer(pieces=_plain(behaviour.tokens), refusal=True)
    if behaviour.loops and tools:
        name, schema = next(iter(tools.items()))
        arguments = json.dumps(_minimal({"type": "object", **(schema or {})}), ensure_ascii=False)
        return Answer(calls=(Call(name, arguments, _call_id(behaviour)),))
    last = turns[-1] if turns else Turn("", "")
    if last.kind == "output" and behaviour.gullible:
        asked = max(index for index, turn in enumerate(turns) if turn.kind == "user")
        followed = sum(turn.kind == "call" for turn in turns[asked:])
        # Outputs are JSON, often twice.
        calls = _calls(last.text.replace("\\n", "\n").replace("\\", ""), tools, behaviour)
        if calls and followed < _GULLIBLE:
            return Answer(calls=calls)
    if last.kind == "output":
        outputs: list[str] = []
        for turn in reversed(turns):
            if turn.kind != "output":
                break
            outputs.append(turn.text)
        return Answer(pieces=words("Tool said: " + "; ".join(reversed(outputs))))
    if last.kind == "user":
        if calls := _calls(last.text, tools, behaviour):
            first = _FIRST.search(last.text)
            return Answer(pieces=words(first[1]) if first else (), calls=calls)
        if match := _ECHO.search(last.text):
            return Answer(pieces=words(match[1]))
        if "history?" in last.text:
            return Answer(pieces=words(_history(turns)))
        if "instructions?" in last.text:
            return Answer(pieces=words(instructions))
    return Answer(pieces=_plain(behaviour.tokens))
