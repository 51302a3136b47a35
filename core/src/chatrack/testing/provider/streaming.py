"""Contract tests of streaming: complete text, in order, in consistent events."""

import asyncio
from typing import Any

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import WORDS, Answer, Conversation
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
"""Texts that encodings, escapes and splits of chunks are known to damage."""


def assert_consistent_events(events: list[Any]) -> None:
    """Assert that the events of one response agree with the complete response at their end."""
    completed = [event for event in events if event.type == "response.completed"]
    assert len(completed) == 1, f"response.completed was sent {len(completed)} times"
    added: dict[int, Any] = {}
    done: dict[int, Any] = {}
    texts: dict[int, str] = {}
    for event in events:
        index: int = getattr(event, "output_index", -1)
        if event.type == "response.output_item.added":
            assert index not in added, f"output_index {index} belongs to two items"
            added[index] = event.item
        elif event.type == "response.output_item.done":
            assert index in added, f"the item at output_index {index} was done and never added"
            assert index not in done, f"the item at output_index {index} was done twice"
            done[index] = event.item
        elif event.type == "response.output_text.delta":
            kind = getattr(added.get(index), "type", None)
            assert kind == "message", f"a delta for output_index {index}, which is not a message but {kind}"
            assert index not in done, f"a delta for output_index {index} after the item was done"
            texts[index] = texts.get(index, "") + event.delta
    assert set(done) == set(added), f"items added at {sorted(added)}, but done at {sorted(done)}"
    for index, item in done.items():
        assert item.type == added[index].type
        if item.type == "message":
            assert texts.get(index, "") == _text(item), "the deltas joined are not the text"
        elif item.type == "function_call":
            assert item.call_id == added[index].call_id, "a call's id changed between added and done"
    output = completed[0].response.output
    items = [_content_of(done[index]) for index in sorted(done)]
    assert items == [_content_of(item) for item in output], (
        "response.completed has other items than were done"
    )


def assert_plausible_usage(events: list[Any]) -> None:
    """Assert that token counts are plausible or missing."""
    usage = events[-1].response.usage
    if usage is not None:
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
        assert usage.total_tokens >= usage.input_tokens + usage.output_tokens


def _text(item: Any) -> str:
    return "".join(part.text for part in item.content if part.type == "output_text")


def _content_of(item: Any) -> tuple[Any, ...]:
    if item.type == "message":
        return (item.type, _text(item))
    if item.type == "function_call":
        return (item.type, item.call_id, item.name, item.arguments)
    return (item.type,)


def assert_consistent(answer: Answer) -> None:
    """Assert that the events and token counts of an answer are consistent."""
    for events in answer.responses:
        assert_consistent_events(events)
        assert_plausible_usage(events)


class StreamingContract:
    """Answers that contain only text, streamed or not."""

    script: ProviderScript

    async def test_a_text_arrives_in_pieces_that_joined_are_the_text(self, model: Model) -> None:
        answer = await Conversation(model, self.script).ask(self.script.say(WORDS))
        assert_consistent(answer)
        assert "".join(answer.deltas) == answer.text == WORDS
        assert len(answer.deltas) > 1, "the text was sent in one piece"

    @pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
    async def test_unicode_is_unharmed(self, model: Model, text: str) -> None:
        answer = await Conversation(model, self.script).ask(self.script.say(text))
        assert_consistent(answer)
        assert "".join(answer.deltas) == answer.text == text

    async def test_an_answer_in_one_piece_is_the_same(self, model: Model) -> None:
        text = f"{WORDS} {TEXTS['emoji']}"
        conversation = Conversation(model, self.script)
        assert await conversation.ask_unstreamed(self.script.say(text)) == text

    async def test_a_call_in_an_answer_in_one_piece_is_one(self, model: Model) -> None:
        conversation = Conversation(model, self.script)
        text = await conversation.ask_unstreamed(self.script.call(("note", {"text": TEXTS["CJK"]})))
        assert conversation.toolbox.texts() == [("note", TEXTS["CJK"])]
        conversation.toolbox.assert_unique_ids()
        assert conversation.toolbox.calls[0].token in text

    async def test_ten_answers_at_once_are_not_mixed_up(self, model: Model) -> None:
        texts = [f"{number} {WORDS}" for number in range(10)]
        conversations = [Conversation(model, self.script) for _ in texts]
        answers = await asyncio.gather(
            *(
                conversation.ask(self.script.say(text))
                for conversation, text in zip(conversations, texts, strict=True)
            )
        )
        for answer, text in zip(answers, texts, strict=True):
            assert_consistent(answer)
            assert answer.text == text
