"""Text of models is not trusted: NUL characters, which not every database stores, never reach the store."""

from agents import Agent
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.annotations import to_annotation
from chatrack.chat.agents.events import EventConverter
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.agents.sanitize import sanitize_json
from chatrack.config import ChatTable
from chatrack.interfaces import AgentSpec
from chatrack.interfaces.records import holds_nul, item_to_record


def stream_of():
    spec = AgentSpec(name="helper", instructions="")
    agent = BoundAgent(
        address="helper", spec=spec, agent=Agent(name="helper"), model="fake", tools={}, handoffs=()
    )
    return EventConverter("thr_1", AgentResolver(agent, ()), ChatTable(), {})


def raw(event):
    from agents import RawResponsesStreamEvent

    return RawResponsesStreamEvent(data=event)


def said(text):
    content = [ResponseOutputText(type="output_text", text=text, annotations=[])]
    return ResponseOutputMessage(
        id="m", type="message", role="assistant", status="completed", content=content
    )


def test_a_nul_in_an_answer_is_left_out_of_what_is_shown_and_stored():
    stream = stream_of()
    place = {"output_index": 0, "sequence_number": 1}
    stream.convert(
        raw(ResponseOutputItemAddedEvent(type="response.output_item.added", item=said(""), **place))
    )
    [delta] = stream.convert(
        raw(
            ResponseTextDeltaEvent(
                type="response.output_text.delta",
                item_id="m",
                content_index=0,
                delta="a\0b",
                logprobs=[],
                **place,
            )
        )
    )
    assert delta.text == "ab"
    [done] = stream.convert(
        raw(ResponseOutputItemDoneEvent(type="response.output_item.done", item=said("a\0b\0"), **place))
    )
    assert done.item.content[0].text == "ab"


def test_a_nul_in_the_arguments_of_a_call_is_left_out_of_the_history():
    call = ResponseFunctionToolCall(
        type="function_call", call_id="c", name="f", arguments='{"a": "x\0y\\u0000"}'
    )
    *_, done = stream_of().convert(
        raw(
            ResponseOutputItemDoneEvent(
                type="response.output_item.done", item=call, output_index=0, sequence_number=1
            )
        )
    )
    record = item_to_record(done.item)
    assert not holds_nul(record.data)
    assert "xy" in record.data


def test_a_backslash_that_is_no_escape_is_no_nul():
    assert not holds_nul(r'"\\u0000"')
    assert holds_nul(r'"\\\u0000"')
    assert holds_nul(r'"\u0000"')
    assert sanitize_json({"a": ["\0b\0\0", "\\\0", "\\u0000"]}) == {"a": ["b", "\\", "\\u0000"]}


def test_halves_of_surrogate_pairs_in_arguments_and_sources_do_not_fail_the_turn():
    call = ResponseFunctionToolCall.model_construct(
        type="function_call", call_id="c", name="f", arguments='{"a": "\ud83d"}'
    )
    *_, done = stream_of().convert(
        raw(
            ResponseOutputItemDoneEvent.model_construct(
                type="response.output_item.done", item=call, output_index=0, sequence_number=1
            )
        )
    )
    assert "\ufffd" in item_to_record(done.item).data
    shown = [
        to_annotation({"type": "url_citation", "url": url, "title": title, "end_index": end}, None)
        for url, title, end in [("http://a/\0", "\ud83d", 1), ("http://a", "x", "no number"), (7, "x", 1)]
    ]
    assert [text is not None for text in shown] == [True, False, False]
    assert shown[0].source.url == "http://a/"
