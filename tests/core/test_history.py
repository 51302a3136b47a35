"""What the model is shown: pairs of calls and results, and a window of whole turns."""

from chatkit.types import AssistantMessageContent, AssistantMessageItem, HiddenContextItem

from chatrack.chat.agents.history import trim_history
from chatrack.chat.agents.input_items import (
    NO_RESULT,
    SOURCE_MODEL,
    model_item_content,
    pair_tool_calls,
    to_input_items,
)
from chatrack.clock import now
from chatrack.ids import new_id
from chatrack.interfaces.records import ItemRecord, item_to_record


def call(number: int) -> dict:
    return {"type": "function_call", "call_id": f"call_{number}", "name": "f", "arguments": "{}"}


def result(number: int) -> dict:
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": str(number)}


USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "well"}


def test_well_formed_history_stays_as_it_is():
    items = [USER, SAID, call(1), call(2), result(1), result(2), SAID, USER, call(3), result(3), SAID]
    assert pair_tool_calls(items) == items


def test_a_call_whose_result_was_lost_gets_one_that_says_so():
    lost = {"type": "function_call_output", "call_id": "call_1", "output": NO_RESULT}
    assert pair_tool_calls([USER, call(1), USER]) == [USER, call(1), lost, USER]
    assert pair_tool_calls([USER, call(1)]) == [USER, call(1), lost]
    assert pair_tool_calls([USER, call(1), call(2), result(2)]) == [USER, call(1), call(2), lost, result(2)]


def test_a_result_without_its_call_is_left_out():
    assert pair_tool_calls([result(1), USER, call(2), result(2), result(2), result(9)]) == [
        USER,
        call(2),
        result(2),
    ]


def test_nothing_stands_between_calls_and_results():
    # Chat Completions ends the message of a response after its calls.
    assert pair_tool_calls([USER, call(1), SAID, result(1)]) == [USER, SAID, call(1), result(1)]
    shown = {"role": "user", "content": "a widget was shown"}
    assert pair_tool_calls([USER, call(1), shown, result(1), SAID]) == [USER, call(1), result(1), shown, SAID]


def test_calls_of_different_responses_keep_their_order():
    items = [USER, call(1), result(1), call(2), result(2), SAID]
    assert pair_tool_calls(items) == items


def record(turn: int, size: int) -> ItemRecord:
    return ItemRecord(
        id=new_id("message"),
        thread_id="thr",
        type="x",
        data="x" * (size * 4),
        turn_id=f"trn_{turn}",
        seq=turn * 10,
    )


def test_a_window_that_fits_is_shown_whole():
    records = [record(1, 50), record(2, 50)]
    assert trim_history(records, 100) == records


def test_a_full_window_is_cut_to_60_percent_of_whole_turns():
    records = [record(turn, 10) for turn in range(1, 12) for _ in range(1)]
    assert [record.turn_id for record in trim_history(records, 100)] == [
        f"trn_{turn}" for turn in range(6, 12)
    ]
    parts = [record(1, 30), record(2, 30), record(2, 30), record(3, 30)]
    assert [record.turn_id for record in trim_history(parts, 100)] == ["trn_3"]


def test_the_newest_turn_is_shown_however_large():
    records = [record(1, 10), record(2, 500), record(2, 500)]
    assert [record.turn_id for record in trim_history(records, 100)] == ["trn_2", "trn_2"]


async def test_every_kind_of_hidden_item_becomes_something_or_nothing_but_never_an_error():
    def hidden(content: object) -> ItemRecord:
        item = HiddenContextItem(id=new_id("message"), thread_id="thr", created_at=now(), content=content)
        return item_to_record(item)

    said = AssistantMessageItem(
        id="msg", thread_id="thr", created_at=now(), content=[AssistantMessageContent(text="hello")]
    )
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    given = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}
    items = await to_input_items(
        [
            hidden("text"),
            hidden({"a": [1]}),
            hidden(5),
            hidden(model_item_content(reasoning, "openai")),
            hidden(model_item_content(given, "openai")),
            hidden(model_item_content(result(1), "openai")),
            item_to_record(said),
        ]
    )
    assert [item.get("type") or item["role"] for item in items] == [
        *["message"] * 3,
        "reasoning",
        "function_call",
        "function_call_output",
        "assistant",
    ]
    assert items[4]["arguments"] == "{}"
    assert [item.get(SOURCE_MODEL) for item in items[3:6]] == ["openai"] * 3
    assert items[-1] == {"role": "assistant", "content": "hello"}
