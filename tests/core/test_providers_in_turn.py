"""Long conversations over every API, and conversations that change their provider."""

import json
import re

import pytest

from tests.conftest import openai_config
from tests.support.serving import answer_of, errors_of, message, serving

pytestmark = pytest.mark.usefixtures("made_tables")

ROOT = "/v1"
OPENAI, OTHER, GEMINI = "openai/fake-r", "other/fake-r", "gemini/fake-gemini3-r"


@pytest.fixture
def providers(write_config, upstream):
    """A config with three providers, from which the user may choose."""

    def config(**options):
        gemini = upstream.url.removesuffix(ROOT) + "/v1beta/openai/"
        extra = f"""
[plugins.compatible_provider.endpoints.other]
base_url = "{upstream.url}"
api_key = "sk-other"
[plugins.gemini_provider]
api_key = "sk-gemini"
base_url = "{gemini}"
{options.pop("extra", "")}"""
        enabled = [
            "sqlite_store", "openai_provider", "compatible_provider", "gemini_provider", "todo_tools",
        ]  # fmt: skip
        selectable = json.dumps([OPENAI, OTHER, GEMINI, "openai/fake-n3"])
        chat = f"selectable_models = {selectable}\n{options.pop('chat', '')}"
        return write_config(
            openai_config(upstream.url, enabled=json.dumps(enabled), chat=chat, extra=extra, **options)
        )

    return config


async def say(chat, thread, text, **options):
    given = message(text, inference_options=options)
    if thread is None:
        events = await chat.events("threads.create", input=given)
        return events[0]["thread"]["id"], events
    return thread, await chat.events("threads.add_user_message", thread_id=thread, input=given)


@pytest.mark.parametrize(
    "models",
    [[OPENAI, OTHER, GEMINI], [GEMINI, OTHER, OPENAI]],  # each API continues what the others began
    ids=" then ".join,
)
async def test_fifty_turns_are_stored_whole_and_the_early_results_are_still_seen(providers, models):
    async with serving(providers()) as chat:
        thread, said = None, []
        for turn in range(50):
            model = models[turn * len(models) // 50]
            if turn % 5 == 0:
                text = f'call create_todo {{"title": "todo {turn}"}}'
            else:
                text = f"echo: turn {turn} of fifty, grün 🦜"
            thread, events = await say(chat, thread, text, model=model)
            assert not errors_of(events), (turn, model, errors_of(events))
            said.append((text, answer_of(events)))
            assert (f"todo {turn}" if turn % 5 == 0 else f"turn {turn} of fifty, grün 🦜") in said[-1][1]
        items = await chat.items(thread)
        assert len({item["id"] for item in items}) == len(items)
        shown = [
            "".join(part["text"] for part in item["content"])
            for item in items
            if item["type"] in {"user_message", "assistant_message"}
        ]
        assert shown == [text for pair in said for text in pair]
        _, events = await say(chat, thread, "history?", model=models[-1])
        seen = answer_of(events)
        calls = re.findall(r'call:create_todo\(\{"title": "todo (\d+)"\}\)', seen)
        assert [int(number) for number in calls] == list(range(0, 50, 5))
        results = re.findall(r"output:[^|]*todo (\d+)", seen)
        assert [int(number) for number in results] == list(range(0, 50, 5))


async def test_reasoning_goes_back_to_the_model_that_thought_it_and_to_no_other(providers, upstream):
    async with serving(providers()) as chat:
        thread, _ = await say(chat, None, 'call create_todo {"title": "x"}', model=OPENAI)
        await say(chat, thread, "echo: a", model=OPENAI)
        sent = upstream.state.log[-1]["body"]["input"]
        thoughts = [entry for entry in sent if entry.get("type") == "reasoning"]
        assert len(thoughts) == 2, "one before the call, and one before the answer"
        assert all(thought["encrypted_content"] for thought in thoughts)
        for other in (OTHER, GEMINI):
            _, events = await say(chat, thread, "echo: b", model=other)
            assert not errors_of(events)
            sent = upstream.state.log[-1]["body"]["messages"]
            assert not [entry for entry in sent if "reasoning_content" in entry or "reasoning" in entry]
        await say(chat, thread, "echo: c", model=OPENAI)
        sent = upstream.state.log[-1]["body"]["input"]
        assert [entry for entry in sent if entry.get("type") == "reasoning"][:2] == thoughts


async def test_nothing_is_kept_at_the_provider(providers, upstream):
    async with serving(providers()) as chat:
        await say(chat, None, "hello", model=OPENAI)
        sent = upstream.state.log[-1]["body"]
        assert sent["store"] is False
        assert sent["include"] == ["reasoning.encrypted_content"]
        assert "previous_response_id" not in sent


async def test_a_model_without_reasoning_is_asked_for_it_once_and_answers_all_the_same(configure, upstream):
    async with serving(configure(model="fake-noenc")) as chat:
        for asked in (2, 1):
            before = upstream.state.requests
            _, events = await chat.create("hello")
            assert not errors_of(events)
            assert upstream.state.requests - before == asked


async def test_a_handoff_may_lead_to_another_provider(providers):
    config = providers(
        agent="front",
        extra="",
        tools='["todo_tools.*"]',
        chat=f"""
[agents.front]
instructions = "You are the front."
tools = ["todo_tools.*"]
handoffs = ["back"]
[agents.back]
instructions = "You are the back."
model = "{GEMINI}"
tools = ["todo_tools.*"]
""",
    )
    async with serving(config) as chat:
        text = 'call create_todo {"title": "x"}\ncall transfer_to_back {}'
        thread, events = await say(chat, None, text, model=OPENAI)
        assert not errors_of(events)
        told = [event["text"] for event in events if event["type"] == "progress_update"]
        assert told == ["Handing over to back"]
        assert "Tool said" in answer_of(events)
        thread, events = await say(chat, thread, "history?", model=OPENAI)
        assert not errors_of(events)
        assert "call:create_todo" in answer_of(events)


async def test_the_model_is_chosen_by_the_message_and_noted_with_it(providers, upstream):
    async with serving(providers()) as chat:
        thread, _ = await say(chat, None, "hello", model=GEMINI)
        assert upstream.state.log[-1]["body"]["model"] == "fake-gemini3-r"
        await say(chat, thread, "hello")
        assert upstream.state.log[-1]["body"]["model"] == "fake"
        retried = next(item for item in await chat.items(thread) if item["type"] == "user_message")
        await chat.events("threads.retry_after_item", thread_id=thread, item_id=retried["id"])
        assert upstream.state.log[-1]["body"]["model"] == "fake-gemini3-r"


async def test_a_model_that_is_not_offered_is_refused_and_named(providers):
    async with serving(providers()) as chat:
        thread, _ = await say(chat, None, "hello")
        for given in ("openai/gpt-5-pro", "openai", ""):
            options = message("hello", inference_options={"model": given})
            answer = await chat.call("threads.add_user_message", thread_id=thread, input=options)
            assert answer.status_code == 400
            assert answer.json()["field"] == "params.input.inference_options.model"
        assert len(await chat.items(thread)) == 2


async def test_without_a_list_no_model_can_be_chosen(chat):
    given = message("hello", inference_options={"model": "openai/fake"})
    answer = await chat.call("threads.create", input=given)
    assert answer.status_code == 400


@pytest.mark.parametrize("tool", ["list_todos", "todo_tools.list_todos"])
async def test_the_tool_is_chosen_by_the_message(configure, upstream, tool):
    given = message("hello", inference_options={"tool_choice": {"id": tool}})
    async with serving(configure(todos=True)) as chat:
        events = await chat.events("threads.create", input=given)
    assert not errors_of(events)
    assert upstream.state.log[-1]["body"]["tool_choice"] == {"type": "function", "name": "list_todos"}


async def test_a_tool_that_the_agent_does_not_have_is_refused_and_named(chat):
    given = message("hello", inference_options={"tool_choice": {"id": "delete_everything"}})
    answer = await chat.call("threads.create", input=given)
    assert answer.status_code == 400
    assert answer.json()["field"] == "params.input.inference_options.tool_choice"


async def test_a_selectable_model_that_cannot_be_made_stops_the_start(write_config, upstream):
    from chatrack.assembly import assemble
    from chatrack.errors import StartupError

    config = openai_config(
        upstream.url,
        enabled='["sqlite_store", "openai_provider", "gemini_provider", "todo_tools"]',
        chat='selectable_models = ["gemini", "nobody/x"]',
    )
    with pytest.raises(StartupError) as caught:
        assemble(write_config(config), environ={})
    text = str(caught.value)
    assert "plugins.gemini_provider.api_key is not set" in text
    assert "GEMINI_API_KEY" in text
    assert 'chat.selectable_models: there is no model provider "nobody"' in text
