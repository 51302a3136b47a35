"""What is streamed: words as they come, in order, whole, in events that belong together."""

import asyncio
from typing import Any

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import WORDS, Asking, Heard
from chatrack.testing.provider.script import ProviderScript

TEXTS = {
    "emoji": "family 👨‍👩‍👧 flag 🇩🇪 face 😀 skin 👍🏽",
    "CJK": "漢字かな交じり文、 한국어 문장입니다。 中文句子",
    "combining": "e\u0301 and Z\u0310\u0311\u0312 and \u0930\u094d\u0915",
    "right to left": "שלום עולם, \u0645\u0631\u062d\u0628\u0627 \u202babc\u202c 123",
    "astral": "𝕬𐍈𠀀 and \U0010fffd",
    "invisible": "zero\u200bwidth no\u00a0break soft\u00adhyphen",
    "markup": "<b>&amp;</b> `code` **bold** [link](https://example.com/?a=1&b=2)",
    "quotes": "\\ ' \" ` % { } [ ] \\n \\u0041",
    "lines": "one\ntwo\n\n  three\tfour  five",
}
"""Text that encodings, escapes and splits of chunks have got wrong before."""


def check_events(events: list[Any]) -> None:
    """See that the events of one response tell the same as the response that they end with."""
    completed = [event for event in events if event.type == "response.completed"]
    assert len(completed) == 1, f"response.completed came {len(completed)} times"
    added: dict[int, Any] = {}
    done: dict[int, Any] = {}
    texts: dict[int, str] = {}
    for event in events:
        index: int = getattr(event, "output_index", -1)
        if event.type == "response.output_item.added":
            assert index not in added, f"output_index {index} was given to two items"
            added[index] = event.item
        elif event.type == "response.output_item.done":
            assert index in added, f"the item at output_index {index} was done and never added"
            assert index not in done, f"the item at output_index {index} was done twice"
            done[index] = event.item
        elif event.type == "response.output_text.delta":
            kind = getattr(added.get(index), "type", None)
            assert kind == "message", (
                f"a delta for output_index {index}, where no message was added but {kind}"
            )
            assert index not in done, f"a delta for output_index {index}, where the item was done"
            texts[index] = texts.get(index, "") + event.delta
    assert set(done) == set(added), f"items added at {sorted(added)}, but done at {sorted(done)}"
    for index, item in done.items():
        assert item.type == added[index].type
        if item.type == "message":
            assert texts.get(index, "") == _text(item), "the deltas joined are not the text"
        elif item.type == "function_call":
            assert item.call_id == added[index].call_id, "a call's id was not the same from beginning to end"
    output = completed[0].response.output
    told = [_told(done[index]) for index in sorted(done)]
    assert told == [_told(item) for item in output], "response.completed has other items than were done"


def check_usage(events: list[Any]) -> None:
    """See that the count of tokens is one, or is not there."""
    usage = events[-1].response.usage
    if usage is not None:
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
        assert usage.total_tokens >= usage.input_tokens + usage.output_tokens


def _text(item: Any) -> str:
    return "".join(part.text for part in item.content if part.type == "output_text")


def _told(item: Any) -> tuple[Any, ...]:
    if item.type == "message":
        return (item.type, _text(item))
    if item.type == "function_call":
        return (item.type, item.call_id, item.name, item.arguments)
    return (item.type,)


def check(heard: Heard) -> None:
    """See that all that was heard fits together."""
    for events in heard.responses:
        check_events(events)
        check_usage(events)


class StreamingContract:
    """Answers that are nothing but text."""

    script: ProviderScript

    async def test_a_text_arrives_in_pieces_that_joined_are_the_text(self, model: Model) -> None:
        heard = await Asking(model, self.script).ask(self.script.say(WORDS))
        check(heard)
        assert "".join(heard.deltas) == heard.text == WORDS
        assert len(heard.deltas) > 1, "the text came in one piece"

    @pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
    async def test_unicode_is_unharmed(self, model: Model, text: str) -> None:
        heard = await Asking(model, self.script).ask(self.script.say(text))
        check(heard)
        assert "".join(heard.deltas) == heard.text == text

    async def test_an_answer_in_one_piece_is_the_same(self, model: Model) -> None:
        text = f"{WORDS} {TEXTS['emoji']}"
        asking = Asking(model, self.script)
        assert await asking.whole(self.script.say(text)) == text

    async def test_a_call_in_an_answer_in_one_piece_is_one(self, model: Model) -> None:
        asking = Asking(model, self.script)
        said = await asking.whole(self.script.call(("note", {"text": TEXTS["CJK"]})))
        assert asking.box.texts() == [("note", TEXTS["CJK"])]
        asking.box.check_ids()
        assert asking.box.calls[0].token in said

    async def test_ten_answers_at_once_are_not_mixed_up(self, model: Model) -> None:
        texts = [f"{number} {WORDS}" for number in range(10)]
        askings = [Asking(model, self.script) for _ in texts]
        heard = await asyncio.gather(
            *(one.ask(self.script.say(text)) for one, text in zip(askings, texts, strict=True))
        )
        for one, text in zip(heard, texts, strict=True):
            check(one)
            assert one.text == text
