"""Providers with faulty streams, and what is shown of reasoning and tool calls before an answer."""

import asyncio
import json

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text as sql

from chatrack.chat.agents.input_items import NO_RESULT
from chatrack.models.limits import Limits
from tests.conftest import openai_config
from tests.fake_openai import serve as serve_upstream
from tests.fake_openai.citation import QUERY, URL
from tests.fake_openai.responses_items import PNG, THOUGHT
from tests.support import recording_tools
from tests.support.client import deltas_of, words
from tests.support.plugins import installed_site
from tests.support.serving import answer_of, errors_of, message, serving, text_of
from tests.support.waiting import until, until_idle

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = ("noids", "sameids", "interleave", "noids-interleave", "sameids-interleave")
PLACES = ("index0", "noindex", "noids-index0", "noids-noindex", "sameids-index0", "sameids-noindex")
WRITING = (
    "split",
    "crlf",
    "noise",
    "comments",
    "k4-split",
    "split-crlf",
    "crlf-noise-split",
    "k3-comments-crlf",
)

TEXT = 'naïve 👩‍👩‍👧‍👦 家族の写真 🎉 ﷽ Ünï\tcode \\ " </data> 末'


class Rack:
    """A server whose model each test chooses, with tools that record that they ran."""

    def __init__(self, api, chat, upstream, site):
        self.api = api
        self.chat = chat
        self.upstream = upstream
        self.site = site

    def become(self, model):
        self.chat.server.assembly.default_agent.agent.model.model = model

    def show(self, *, tools=True, reasoning=True):
        builder = self.chat.server._builder
        builder._chat = msgspec.structs.replace(builder._chat, show_tools=tools, show_reasoning=reasoning)

    def ran(self):
        return recording_tools.ran(self.site)

    async def stored(self, thread):
        """Return all items of a thread as text, hidden ones included."""
        query = sql("SELECT * FROM chatrack_items WHERE thread_id = :thread")
        async with self.chat.server.store.database.read() as connection:
            return str((await connection.execute(query, {"thread": thread})).all())

    async def workflows(self, thread):
        return [item["workflow"] for item in await self.chat.items(thread) if item["type"] == "workflow"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["responses", "chat_completions"])
async def open_rack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    store = f"[plugins.sqlite_store]\npath = {json.dumps(str(folder / 'chat.db'))}"
    enabled = '["sqlite_store", "openai_provider", "notes"]'
    with pytest.MonkeyPatch.context() as patched, installed_site(folder / "site", patched) as site:
        recording_tools.install(site)
        async with serve_upstream() as upstream:
            path = folder / "config.toml"
            path.write_text(
                openai_config(
                    upstream.url,
                    api=request.param,
                    store=store,
                    enabled=enabled,
                    tools='["notes.*"]',
                    extra="max_retries = 0",
                )
            )
            async with serving(path) as chat:
                yield Rack(request.param, chat, upstream, site)


@pytest.fixture
def rack(open_rack):
    open_rack.become("fake")
    open_rack.show()
    open_rack.ran().clear()
    return open_rack


@pytest.fixture
def faulty(rack, request):
    """The same with a model that has a fault."""
    rack.become(f"fake-{request.param}")
    return rack


def over(*faults):
    """Run a test with a model of each of these faults."""
    return pytest.mark.parametrize("faulty", faults, indirect=True)


only_chat = pytest.mark.parametrize("open_rack", ["chat_completions"], indirect=True, scope="module")
only_responses = pytest.mark.parametrize("open_rack", ["responses"], indirect=True, scope="module")


def calls_and_results(body):
    """Return the calls in a request with their results, oldest first."""
    calls, results = [], {}
    for item in body.get("input") or []:
        if item.get("type") == "function_call":
            calls.append((item["call_id"], item["name"], item["arguments"]))
        elif item.get("type") == "function_call_output":
            results[item["call_id"]] = item["output"]
    for entry in body.get("messages") or []:
        calls += [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in entry.get("tool_calls") or []
        ]
        if entry["role"] == "tool":
            results[entry["tool_call_id"]] = entry["content"]
    ids = [call_id for call_id, _, _ in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids) == len(results)
    return [(name, json.loads(arguments), results[call_id]) for call_id, name, arguments in calls]


# -- the order of events in a stream, ids, and how it is written -----------------------------------------------


@over(*IDS)
async def test_parallel_calls_without_proper_ids_run_with_their_own_arguments(faulty):
    await check_parallel_calls(faulty)


@only_chat
@over(*PLACES)
async def test_parallel_calls_without_proper_places_run_with_their_own_arguments(faulty):
    await check_parallel_calls(faulty)


async def check_parallel_calls(faulty):
    thread, expected = None, []
    for turn in range(3):
        lines = [f'call note {{"text": "a{turn}"}}', f'call shout {{"text": "b{turn} 🎉"}}']
        lines.append(f'call note {{"text": "c{turn}"}}')
        asked = "\n".join(lines)
        if thread is None:
            thread, events = await faulty.chat.create(asked)
        else:
            events = await faulty.chat.say(thread, asked)
        assert not errors_of(events), events
        assert answer_of(events) == f"Tool said: noted a{turn}; shouted b{turn} 🎉; noted c{turn}"
        expected += [
            ("note", {"text": f"a{turn}"}, f"noted a{turn}"),
            ("shout", {"text": f"b{turn} 🎉"}, f"shouted b{turn} 🎉"),
            ("note", {"text": f"c{turn}"}, f"noted c{turn}"),
        ]
    assert sorted(faulty.ran()) == sorted((name, given["text"]) for name, given, _ in expected)
    events = await faulty.chat.say(thread, "history?")
    assert not errors_of(events)
    assert calls_and_results(faulty.upstream.state.log[-1]["body"]) == expected
    history = answer_of(events)
    for name, _, result in expected:
        assert history.count(f"output:{result}") == 1, name
    shown = [[task["title"] for task in workflow["tasks"]] for workflow in await faulty.workflows(thread)]
    assert shown == [["Note", "Shout", "Note"]] * 3


@over("noids", "sameids", "sameids-interleave")
async def test_calls_without_proper_ids_one_after_another_in_one_turn(faulty, monkeypatch):
    from tests.fake_openai import app
    from tests.fake_openai.behaviour import Turn, decide

    # The model calls again when it has seen a result, twice.
    def again(turns, *rest):
        since = len(turns) - max(at for at, turn in enumerate(turns) if turn.kind == "user")
        results = sum(turn.kind == "output" for turn in turns[-since:])
        if 0 < results < 6:
            asked = "\n".join(f'call note {{"text": "{results + more}"}}' for more in range(2))
            turns = [*turns, Turn("user", asked)]
        return decide(turns, *rest)

    monkeypatch.setattr(app, "decide", again)
    thread, events = await faulty.chat.create('call note {"text": "0"}\ncall note {"text": "1"}')
    assert not errors_of(events), events
    assert faulty.ran() == [("note", str(number)) for number in range(6)]
    monkeypatch.undo()
    events = await faulty.chat.say(thread, "history?")
    assert not errors_of(events), events
    assert calls_and_results(faulty.upstream.state.log[-1]["body"]) == [
        ("note", {"text": str(number)}, f"noted {number}") for number in range(6)
    ]


@over(*WRITING)
async def test_text_arrives_whole_however_its_stream_is_written(faulty):
    thread, events = await faulty.chat.create(f"echo: {TEXT}")
    assert not errors_of(events), events
    assert deltas_of(events) == answer_of(events) == TEXT
    assert await faulty.chat.answers(thread) == [TEXT]
    events = await faulty.chat.say(thread, "history?")
    assert not errors_of(events)
    assert (
        answer_of(events)
        == f"user:echo: {' '.join(TEXT.split())} | assistant:{' '.join(TEXT.split())} | user:history?"
    )


@over("split-crlf-noids", "noise-sameids-interleave")
async def test_calls_arrive_whole_however_their_stream_is_written(faulty):
    await check_whole_calls(faulty)


@only_chat
@over("comments-k3-noids-index0", "crlf-noise-split-noindex")
async def test_calls_arrive_whole_however_their_stream_is_written_over_chat(faulty):
    await check_whole_calls(faulty)


async def check_whole_calls(faulty):
    first, second = "家族 👩‍👩‍👧‍👦 zwölf", "🎉🎉🎉 \u2028 末"
    asked = "\n".join(
        f"call note {json.dumps({'text': text}, ensure_ascii=False)}" for text in (first, second)
    )
    thread, events = await faulty.chat.create(asked)
    assert not errors_of(events), events
    assert faulty.ran() == [("note", first), ("note", second)]
    events = await faulty.chat.say(thread, "history?")
    assert not errors_of(events)
    assert calls_and_results(faulty.upstream.state.log[-1]["body"]) == [
        ("note", {"text": text}, f"noted {text}") for text in (first, second)
    ]


# -- what is shown of the work ---------------------------------------------------------------------------------


def statuses(workflows):
    return {task["status_indicator"] for workflow in workflows for task in workflow["tasks"]}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("model", ["fake-r", "fake-thinktext", "fake-r-split-crlf"])
async def test_reasoning_is_shown_if_it_is_to_be(rack, model, shown):
    rack.become(model)
    rack.show(reasoning=shown)
    thread, events = await rack.chat.create("echo: hello")
    assert not errors_of(events), events
    assert answer_of(events) == "hello"
    items = await rack.chat.items(thread)
    types = [item["type"] for item in items]
    if not shown:
        assert types == ["user_message", "assistant_message"]
        assert THOUGHT.strip() not in json.dumps(events)
        return
    assert types == ["user_message", "workflow", "assistant_message"]
    workflow = items[1]["workflow"]
    assert workflow["type"] == "reasoning"
    [task] = workflow["tasks"]
    assert task["type"] == "thought"
    assert task["content"].strip() == THOUGHT.strip()
    assert task["status_indicator"] == "complete"
    assert "duration" in workflow["summary"]


@pytest.mark.parametrize("model", ["fake", "fake-r", "fake-thinktext"])
async def test_a_workflow_is_not_shown_to_the_model(rack, model):
    rack.become(model)
    thread, _ = await rack.chat.create('call note {"text": "milk"}')
    assert len(await rack.workflows(thread)) >= 1
    events = await rack.chat.say(thread, "history?")
    assert not errors_of(events), events
    kinds = [part.partition(":")[0] for part in answer_of(events).split(" | ")]
    assert [kind for kind in kinds if kind != "reasoning"] == ["user", "call", "output", "assistant", "user"]
    body = rack.upstream.state.log[-1]["body"]
    told = json.dumps(body.get("input") or body["messages"])
    assert "workflow" not in told
    assert '"Note"' not in told


@pytest.mark.parametrize("shown", [True, False])
async def test_tools_are_shown_if_they_are_to_be(rack, shown):
    rack.show(tools=shown)
    thread, events = await rack.chat.create('call note {"text": "a"}\ncall shout {"text": "b"}')
    assert not errors_of(events)
    workflows = await rack.workflows(thread)
    if not shown:
        assert workflows == []
        return
    [workflow] = workflows
    assert [(task["type"], task["title"]) for task in workflow["tasks"]] == [
        ("custom", "Note"),
        ("custom", "Shout"),
    ]
    assert statuses(workflows) == {"complete"}
    seen = [
        event["update"]
        for event in events
        if event["type"] == "thread.item.updated" and "task" in event["update"]
    ]
    assert {update["task"]["status_indicator"] for update in seen} == {"loading", "complete"}


@pytest.mark.parametrize("model", ["fake-search", "fake-r-search-crlf"])
async def test_what_a_search_found_is_named_as_the_source(rack, model):
    rack.become(model)
    thread, events = await rack.chat.create("tell me")
    assert not errors_of(events), events
    [answer] = [item for item in await rack.chat.items(thread) if item["type"] == "assistant_message"]
    assert text_of(answer) == words(8)
    [annotation] = answer["content"][0]["annotations"]
    assert annotation["source"]["type"] == "url"
    assert annotation["source"]["url"] == URL
    assert annotation["source"]["title"] == "What was found"
    tasks = [
        task
        for workflow in await rack.workflows(thread)
        for task in workflow["tasks"]
        if task["type"] == "web_search"
    ]
    if rack.api == "responses":
        [task] = tasks
        assert task["queries"] == [QUERY]
        assert [source["url"] for source in task["sources"]] == [URL]
        assert task["status_indicator"] == "complete"
    events = await rack.chat.say(thread, "echo: next")
    assert not errors_of(events), events
    assert answer_of(events) == "next"


@only_responses
async def test_a_drawn_image_is_never_stored_nor_sent_as_base64(rack):
    rack.become("fake-image")
    thread, events = await rack.chat.create("draw me")
    assert not errors_of(events), events
    assert answer_of(events) == words(8)
    assert not errors_of(await rack.chat.say(thread, "echo: next"))
    [workflow, _] = await rack.workflows(thread)
    assert [(task["type"], task["status_indicator"]) for task in workflow["tasks"]] == [("image", "complete")]
    places = [json.dumps(events), await rack.stored(thread), json.dumps(await rack.chat.items(thread))]
    assert not any(PNG[:24] in place for place in [*places, json.dumps(rack.upstream.state.log[-1]["body"])])


# -- nothing is under way when a turn is over ------------------------------------------------------------------


def check_over(workflows, count):
    assert len(workflows) == count
    assert statuses(workflows) <= {"complete", "none"} if count else not workflows


def check_told(events, workflows):
    """Check that `thread.item.done` was sent for each workflow, as it is stored."""
    done = [
        event["item"]["workflow"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "workflow"
    ]
    assert done == workflows


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("fake-r-x0", "think"),
        ("fake-thinktext-v0", "think"),
        ("fake-r-s0", "think"),
        ("fake-r-n0-filter", "think"),
        ("fake-x1", 'call note {"text": "the call breaks off"}'),
        ("fake-r-v1", 'call note {"text": "the call breaks off"}'),
        ("fake-s1", 'call note {"text": "the call breaks off"}'),
        ("fake-length", 'call note {"text": "the call is cut off"}'),
    ],
)
async def test_nothing_is_under_way_after_a_failure(rack, model, asked):
    rack.become(model)
    client = rack.chat.server.assembly.default_agent.agent.model._client
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client, "limits", Limits(**({"idle": 0.3} if "-s" in model else {})))
        thread, events = await rack.chat.create(asked)
    assert len(errors_of(events)) == 1
    assert rack.ran() == []
    workflows = await rack.workflows(thread)
    check_over(workflows, 1)
    check_told(events, workflows)
    rack.become("fake")
    events = await rack.chat.say(thread, "history?")
    assert not errors_of(events), events
    assert answer_of(events).count("call:note") == answer_of(events).count(NO_RESULT) <= 1
    assert THOUGHT.strip() not in answer_of(events)


@pytest.mark.parametrize(
    ("model", "asked", "task"),
    [
        ("fake-r-s0", "think", "thought"),
        ("fake-thinktext-s0", "think", "thought"),
        ("fake-s1", 'call note {"text": "the call stands still"}', "custom"),
        ("fake-noids", "call nap {}", "custom"),
    ],
)
async def test_nothing_is_under_way_after_hanging_up(rack, model, asked, task):
    rack.become(model)
    sleeps = asked == "call nap {}"
    async with rack.chat.stream("threads.create", input=message(asked)) as events:
        thread = (await anext(events))["thread"]["id"]
        async for event in events:
            if event["type"] == "thread.item.added":
                assert event["item"]["workflow"]["tasks"][0]["type"] == task
                assert statuses([event["item"]["workflow"]]) == {"loading"}
                break
        if sleeps:
            await until(rack.ran)
    await until_idle(rack.chat)
    check_over(await rack.workflows(thread), 1)
    rack.become("fake")
    events = await rack.chat.say(thread, "history?")
    assert not errors_of(events), events
    assert (NO_RESULT in answer_of(events)) is sleeps


async def test_hanging_up_while_something_is_being_written_stops_a_tool_at_once(rack, monkeypatch):
    store = rack.chat.server.store
    write, writing = store.write, asyncio.Event()

    async def slow(*args, **options):
        writing.set()
        await asyncio.sleep(0.3)
        await write(*args, **options)

    async with rack.chat.stream("threads.create", input=message("call nap {}")) as events:
        thread = (await anext(events))["thread"]["id"]
        monkeypatch.setattr(store, "write", slow)
        await until(lambda: rack.ran() and writing.is_set())
    await until_idle(rack.chat)
    monkeypatch.undo()
    check_over(await rack.workflows(thread), 1)
    events = await rack.chat.say(thread, "history?")
    assert not errors_of(events), events
    assert NO_RESULT in answer_of(events)
