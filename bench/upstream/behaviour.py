"""What a model name and a conversation ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

_OPTION = re.compile(r"(n|d|f|e|x|k)(\d{1,7})")
_LABEL = re.compile(r"[a-z0-9.]{2,}")
_CALL = re.compile(r"\bcall ([A-Za-z0-9_-]+) (\{.*)$", re.MULTILINE)
_ECHO = re.compile(r"echo: ?(.*)", re.DOTALL)
_WORD = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A model name's options; pauses in seconds."""

    tokens: int = 8
    pause: float = 0.0
    first_pause: float = 0.0
    reasoning: bool = False
    status: int | None = None
    cut_after: int | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A function call to answer with; `arguments` is the JSON text, passed on unparsed."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One input item in the form both APIs share.

    `kind` is a message's role, or ``call``, ``output``, ``reasoning``, or another item's type.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer: pieces of text, or calls (never both)."""

    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def size(self) -> int:
        """How many tokens the answer counts as."""
        return len(self.pieces) + sum(len(fragments(call.arguments)) for call in self.calls)


@lru_cache(maxsize=1024)
def parse_model(name: str) -> Behaviour | None:
    """Read a model name; None if the fake serves no such model."""
    head, *parts = name.split("-")
    if head != "fake":
        return None
    options: dict[str, int] = {}
    reasoning = False
    for part in parts:
        if part == "r":
            reasoning = True
        elif match := _OPTION.fullmatch(part):
            options[match[1]] = int(match[2])
        elif not _LABEL.fullmatch(part):
            return None
    return Behaviour(
        tokens=options.get("n", 8),
        pause=options.get("d", 0) / 1000,
        first_pause=options.get("f", 0) / 1000,
        reasoning=reasoning,
        status=options.get("e"),
        cut_after=options.get("x"),
        burst=max(1, options.get("k", 1)),
    )


@lru_cache(maxsize=64)
def _plain(tokens: int) -> tuple[str, ...]:
    return tuple(f"w{i} " for i in range(tokens))


def words(text: str) -> tuple[str, ...]:
    """Split a text into the pieces it is streamed in; joined they are the text again."""
    return tuple(_WORD.findall(text))


def fragments(arguments: str) -> list[str]:
    """Split arguments into the two or more pieces they are streamed in (one if shorter than two)."""
    size = min(12, max(1, len(arguments) // 2))
    return [arguments[i : i + size] for i in range(0, len(arguments), size)]


def _calls(text: str, tools: Collection[str]) -> tuple[Call, ...]:
    calls = []
    for name, rest in _CALL.findall(text):
        if name not in tools:
            continue
        try:
            _, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:  # a test may want the model to produce broken arguments
            end = len(rest)
        calls.append(Call(name, rest[:end].rstrip()))
    return tuple(calls)


def _history(turns: Sequence[Turn]) -> str:
    return " | ".join(f"{turn.kind}:{' '.join(turn.text.split())}" for turn in turns)


def decide(turns: Sequence[Turn], tools: Collection[str], instructions: str, tokens: int) -> Answer:
    """Decide the answer to a conversation.

    `turns` is the input without what counts as instructions, `tools` the names of the offered
    functions, `tokens` the size of the plain answer.
    """
    last = turns[-1] if turns else Turn("", "")
    if last.kind == "output":
        outputs: list[str] = []
        for turn in reversed(turns):
            if turn.kind != "output":
                break
            outputs.append(turn.text)
        return Answer(pieces=words("Tool said: " + "; ".join(reversed(outputs))))
    if last.kind == "user":
        if calls := _calls(last.text, tools):
            return Answer(calls=calls)
        if match := _ECHO.search(last.text):
            return Answer(pieces=words(match[1]))
        if "history?" in last.text:
            return Answer(pieces=words(_history(turns)))
        if "instructions?" in last.text:
            return Answer(pieces=words(instructions))
    return Answer(pieces=_plain(tokens))
