"""Events of tools and actions: widgets, client tools, questions; the turn stores them, and nothing hidden leaks."""

import json

import pytest

from tests.conftest import openai_config
from tests.support.plugins import installed_site
from tests.support.serving import answer_of, errors_of, serving, text_of

pytestmark = pytest.mark.usefixtures("made_tables")

STAGE = '''
from datetime import datetime

from chatkit.types import (
    ClientToolCallItem, HiddenContextItem, StructuredInputFreeform, StructuredInputItem, ThreadItemAddedEvent,
    ThreadItemDoneEvent, ThreadItemReplacedEvent, ThreadItemRemovedEvent, WidgetItem, Page, Thread, ThreadUpdatedEvent,
)
from chatkit.widgets import Card, Text

import chatrack


def hidden(turn, text):
    return HiddenContextItem(
        id="hid_" + turn.turn_id + text, thread_id=turn.thread.id, created_at=datetime.now(), content=text
    )


@chatrack.function_tool
async def show_widget(ctx: chatrack.ToolContext, text: str) -> str:
    """Show a card."""
    await ctx.context.progress("Drawing")
    await ctx.context.stream_widget(Card(children=[Text(value=text)]))
    return "shown"


@chatrack.function_tool
async def whisper(ctx: chatrack.ToolContext, text: str) -> str:
    """Say something that the user must not see."""
    turn = ctx.context
    secret = hidden(turn, text)
    await turn.stream(ThreadItemAddedEvent(item=secret))
    await turn.stream(ThreadItemDoneEvent(item=secret))
    await turn.stream(ThreadItemReplacedEvent(item=secret))
    return "whispered"


@chatrack.function_tool
async def ask_page(ctx: chatrack.ToolContext) -> str:
    """Call a tool of the page."""
    call = ClientToolCallItem(
        id="tc_" + ctx.tool_call_id, thread_id="", created_at=datetime.now(), call_id="call_of_page",
        name="read_page", arguments={"part": "title"},
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=call))
    await ctx.context.stream_widget(Card(children=[Text(value="waiting")]))
    return "asked"


@chatrack.function_tool
async def ask_user(ctx: chatrack.ToolContext) -> str:
    """Ask the user."""
    item = StructuredInputItem(
        id="msg_" + ctx.tool_call_id, thread_id="", created_at=datetime.now(),
        inputs=[StructuredInputFreeform(id="q1", question="Which colour?")],
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=item))
    return "asked"


@chatrack.function_tool
async def rename(ctx: chatrack.ToolContext) -> str:
    """Say that the thread has changed, carelessly."""
    turn = ctx.context
    items = Page(data=[hidden(turn, "SECRET")])
    thread = Thread(id=turn.thread.id, created_at=datetime.now(), metadata={"k": "SECRET"}, items=items)
    await turn.stream(ThreadUpdatedEvent(thread=thread))
    return "renamed"


@chatrack.function_tool
async def vanish(ctx: chatrack.ToolContext) -> str:
    """Show a card and take it away."""
    item = WidgetItem(
        id="wid_" + ctx.tool_call_id, thread_id="", created_at=datetime.now(), widget=Card(children=[Text(value="x")])
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=item))
    await ctx.context.stream(ThreadItemRemovedEvent(item_id=item.id))
    return "gone"


class StagePlugin:
    api = 1

    @chatrack.hookimpl
    def tools(self):
        return [show_widget, whisper, ask_page, ask_user, vanish, rename]

    @chatrack.hookimpl
    def actions(self):
        return {"stage.press": self.press, "stage.whisper": self.whisper, "stage.fail": self.fail}

    async def press(self, turn, call):
        if call.sender is None:
            await turn.stream_widget(Card(children=[Text(value=f"{turn.user.id} pressed {call.payload}")]))
            return None
        return call.sender.model_copy(update={"widget": Card(children=[Text(value=str(call.payload))])})

    async def whisper(self, turn, call):
        return hidden(turn, "hush")

    async def fail(self, turn, call):
        raise RuntimeError("boom")
'''


@pytest.fixture
async def stage(write_config, upstream, tmp_path, monkeypatch, api):
    with installed_site(tmp_path / "site", monkeypatch) as site:
        site.install_source("stage", STAGE, target="StagePlugin")
        enabled = json.dumps(["sqlite_store", "openai_provider", "stage"])
        config = write_config(
            openai_config(
                upstream.url, api=api, enabled=enabled, tools='["stage.*"]', chat="show_tools = false"
            )
        )
        async with serving(config) as chat:
            yield chat


async def test_a_widget_of_a_tool_is_shown_stored_and_told_to_the_model(stage):
    thread, events = await stage.create('call show_widget {"text": "Hello card"}')
    assert not errors_of(events)
    assert [event["text"] for event in events if event["type"] == "progress_update"] == ["Drawing"]
    items = await stage.items(thread)
    assert [item["type"] for item in items] == ["user_message", "widget", "assistant_message"]
    assert items[1]["thread_id"] == thread
    assert items[1]["created_at"].endswith("Z")
    seen = answer_of(await stage.say(thread, "history?"))
    assert "Hello card" in seen


async def test_hidden_items_of_tools_reach_the_model_and_never_the_wire(stage):
    thread, events = await stage.create('call whisper {"text": "psst"}')
    assert not errors_of(events)
    assert {item["type"] for item in await stage.items(thread)} == {"user_message", "assistant_message"}
    wire = json.dumps(events[2:])  # what follows the user's own words
    assert "psst" not in wire
    assert "hidden" not in wire
    listed = json.dumps(
        [await stage.get("threads.get_by_id", thread_id=thread), await stage.get("threads.list")]
    )
    assert "hid_" not in listed
    assert "psst" in answer_of(await stage.say(thread, "history?"))


async def test_a_thread_event_of_a_tool_shows_only_what_a_client_may_see(stage):
    _, events = await stage.create("call rename {}")
    [updated] = [event["thread"] for event in events if event["type"] == "thread.updated"]
    assert "SECRET" not in json.dumps(updated)
    assert updated["created_at"].endswith("Z")


async def test_an_item_can_be_taken_away_again(stage):
    thread, events = await stage.create("call vanish {}")
    assert any(event["type"] == "thread.item.removed" for event in events)
    assert [item["type"] for item in await stage.items(thread)] == ["user_message", "assistant_message"]


async def test_an_action_replaces_its_widget_or_shows_something(stage):
    thread, _ = await stage.create('call show_widget {"text": "Press me"}')
    widget = (await stage.items(thread))[1]
    action = {"type": "stage.press", "payload": {"n": 7}}
    events = await stage.events(
        "threads.custom_action", thread_id=thread, item_id=widget["id"], action=action
    )
    assert not errors_of(events)
    [replaced] = [event["item"] for event in events if event["type"] == "thread.item.replaced"]
    assert replaced["id"] == widget["id"]
    assert (await stage.items(thread))[1] == replaced
    await stage.events("threads.custom_action", thread_id=thread, action=action)
    assert "local pressed" in json.dumps((await stage.items(thread))[-1])


async def test_a_sync_action_gives_the_item_it_changed(stage):
    thread, _ = await stage.create('call show_widget {"text": "Press me"}')
    widget = (await stage.items(thread))[1]
    action = {"type": "stage.press", "payload": "pressed"}
    answer = await stage.get(
        "threads.sync_custom_action", thread_id=thread, item_id=widget["id"], action=action
    )
    assert answer["updated_item"]["id"] == widget["id"]
    assert answer["updated_item"]["created_at"].endswith("Z")
    assert "pressed" in json.dumps(answer)
    assert (await stage.items(thread))[1] == answer["updated_item"]


async def test_a_sync_action_does_not_give_hidden_items(stage):
    thread, _ = await stage.create("hi")
    answer = await stage.get("threads.sync_custom_action", thread_id=thread, action={"type": "stage.whisper"})
    assert answer == {}
    assert "hush" not in json.dumps(await stage.items(thread))


async def test_an_action_that_fails_is_an_error_and_leaves_the_thread_free(stage):
    thread, _ = await stage.create("hi")
    refused = await stage.call("threads.sync_custom_action", thread_id=thread, action={"type": "stage.fail"})
    assert refused.status_code == 500
    assert "boom" not in refused.text
    events = await stage.events("threads.custom_action", thread_id=thread, action={"type": "stage.fail"})
    assert errors_of(events)
    assert not errors_of(await stage.say(thread, "echo: go on"))
    answer = (await stage.items(thread))[1]["id"]
    wrong = await stage.call(
        "threads.custom_action", thread_id=thread, item_id=answer, action={"type": "stage.press"}
    )
    assert wrong.status_code == 400


async def test_the_output_of_a_client_tool_finds_its_call_wherever_it_stands(stage):
    thread, events = await stage.create("call ask_page {}")
    assert not errors_of(events)
    pending = [item for item in await stage.items(thread) if item["type"] == "client_tool_call"]
    assert [item["status"] for item in pending] == ["pending"]
    events = await stage.events("threads.add_client_tool_output", thread_id=thread, result={"title": "Home"})
    assert not errors_of(events)
    done = [item for item in await stage.items(thread) if item["type"] == "client_tool_call"]
    assert [(item["status"], item["output"]) for item in done] == [("completed", {"title": "Home"})]
    again = await stage.call("threads.add_client_tool_output", thread_id=thread, result=1)
    assert again.status_code == 404
    seen = answer_of(await stage.say(thread, "history?"))
    assert "call:read_page" in seen
    assert "Home" in seen


async def test_the_users_answers_are_stored_and_told_to_the_model(stage):
    thread, events = await stage.create("call ask_user {}")
    assert not errors_of(events)
    [question] = [item for item in await stage.items(thread) if item["type"] == "structured_input"]
    given = {"answers": {"q1": {"values": ["blue"]}, "q9": {"values": ["?"]}}}
    params = {"thread_id": thread, "item_id": question["id"], "input": given}
    events = await stage.events("threads.add_structured_input", **params)
    assert not errors_of(events)
    [answered] = [item for item in await stage.items(thread) if item["type"] == "structured_input"]
    assert answered["status"] == "answered"
    assert answered["inputs"][0]["answer"]["values"] == ["blue"]
    assert (await stage.call("threads.add_structured_input", **params)).status_code == 400
    assert "blue" in answer_of(await stage.say(thread, "history?"))


async def test_a_tag_or_a_quotation_in_a_message_does_not_break_the_thread(stage):
    content = [
        {"type": "input_text", "text": "Tell me about "},
        {"type": "input_tag", "id": "ent_1", "text": "Ada", "data": {"born": 1815}},
    ]
    given = {"content": content, "attachments": [], "inference_options": {}, "quoted_text": "she wrote"}
    events = await stage.events("threads.create", input=given)
    assert not errors_of(events)
    thread = events[0]["thread"]["id"]
    for _ in range(2):
        assert not errors_of(await stage.say(thread, "history?"))
    assert text_of((await stage.items(thread))[0]) == "Tell me about Ada"
