"""Guardrails: what they hold back or refuse is never on the wire and never in the store."""

import asyncio
import json

import pytest

from chatrack import Replace
from tests.support.guardrails import deltas_of, notices_of, stored_in, wire_of
from tests.support.plugins import installed_site
from tests.support.serving import answer_of, errors_of, is_delta, message, serving, text_of
from tests.support.waiting import until

GATE = '''
import asyncio

from chatrack import GuardrailContext, InputGuardrail, OutputGuardrail, Replace, Trip
from chatrack.interfaces import Verdict

calls = []


async def judge(text, direction, context):
    calls.append((direction, context.agent, context.user.id, text))
    if "SLOW" in text:
        await asyncio.sleep(0.2)
    if "HANG" in text:
        await asyncio.Event().wait()
    if "STUBBORN" in text:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if stubborn_is_over:
                    raise
    if "RAISE" in text:
        raise ValueError(text)
    if "WRONG" in text:
        return "fine"
    if "TRIP" in text:
        return Trip("This was stopped.", store="refusal" if "REFUSE" in text else "nothing")
    if "MASK" in text:
        return Replace(text.replace("MASKED", "***"), notice="Something was masked.")
    return None


stubborn_is_over = False


class In(InputGuardrail):
    timeout = 0.5

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        return await judge(text, "in", context)


opened = asyncio.Event()


class Second(InputGuardrail):
    timeout = 60

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        calls.append(("second", context.agent, context.user.id, text))
        if "WAIT" in text:
            await opened.wait()
        return None


class Out(OutputGuardrail):
    timeout = 0.5

    async def check_output(self, text: str, context: GuardrailContext) -> Verdict:
        return await judge(text, "out", context)


class Sentences(Out):
    by_sentence = True


class Plugin:
    api = 1

    def __init__(self, settings):
        pass

    @chatrack.hookimpl
    def guardrails(self):
        return {"in": In(), "second": Second(), "whole": Out(), "sentences": Sentences()}

    @chatrack.hookimpl
    def tools(self):
        @chatrack.function_tool
        async def show(ctx: chatrack.ToolContext) -> str:
            """Show a card."""
            from chatkit.widgets import Card, Text

            calls.append(("tool", "", "", ""))
            await ctx.context.stream_widget(Card(children=[Text(value="a card")]))
            return "shown"

        return [show]
'''


@pytest.fixture(scope="module")
def gates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate") / "site"
    with pytest.MonkeyPatch.context() as patch, installed_site(folder, patch) as site:
        site.install_source("gate", f"import chatrack\n{GATE}")
        yield site


@pytest.fixture
def calls(gates):
    import fake_gate

    fake_gate.calls.clear()
    return fake_gate.calls


@pytest.fixture
def guarded(configure, gates):
    """Write a config whose agent has guardrails and, as its instructions, what its model says."""

    def write(guardrails, *, says="You help.", extra="", **options):
        tools = f'["gate.*"]\nguardrails = {json.dumps(guardrails)}'
        enabled = '["sqlite_store", "openai_provider", "gate"]'
        path = configure(tools=tools, enabled=enabled, extra=extra, **options)
        path.write_text(path.read_text().replace('"You help."', json.dumps(says)))
        return path

    return write


FAULTS = ["HANG", "STUBBORN", "RAISE", "WRONG", "TRIP"]


@pytest.fixture(autouse=True)
def _let_stubborn_checks_end(gates):
    yield
    import fake_gate

    fake_gate.stubborn_is_over = False


async def end_stubborn_checks():
    import fake_gate

    fake_gate.stubborn_is_over = True
    for task in asyncio.all_tasks():
        if "judge" in repr(task.get_coro()) or "check_" in repr(task.get_coro()):
            task.cancel()


@pytest.mark.parametrize("fault", FAULTS)
async def test_sentences_before_the_fault_are_shown_and_then_removed(guarded, fault, capfd):
    says = f"All is well. Here {fault} leaks XSECRETX now. And XMOREX after it."
    config = guarded(["gate.sentences"], says=says)
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        assert "".join(deltas_of(events)) == "All is well. "
        removed = [event["item_id"] for event in events if event["type"] == "thread.item.removed"]
        assert len(removed) == 1
        [error] = errors_of(events)
        assert events[-1] == error
        assert error["allow_retry"] is (fault != "TRIP")
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
        # The thread goes on, and the model knows that there was an answer.
        events = await chat.say(thread, "history?")
        assert "withheld from the user" in answer_of(events)
        await end_stubborn_checks()
    for secret in ("XSECRETX", "XMOREX"):
        assert secret not in wire_of(events)
        assert secret not in stored_in(config)
        assert secret not in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_that_is_checked_whole_shows_nothing_of_one_that_fails(guarded, fault):
    config = guarded(["gate.whole"], says=f"XSECRETX is well. The end is {fault}.")
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        assert deltas_of(events) == []
        assert len(errors_of(events)) == 1
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
        await end_stubborn_checks()
    assert "XSECRETX" not in wire_of(events)
    assert "XSECRETX" not in stored_in(config)


async def test_a_trip_stops_the_model_at_once_and_its_calls_are_counted(guarded, upstream):
    says = "TRIP here. " + "and more " * 50
    config = guarded(["gate.sentences"], says=says, model="fake-h10")
    async with serving(config) as chat:
        _, events = await chat.create("instructions?")
        assert errors_of(events)[0]["message"] == "This was stopped."
        await until(lambda: upstream.state.stats()["aborted"] == 1)
        [record] = await usage_rows(chat)
        assert record["requests"] == 1


async def usage_rows(chat):
    from sqlalchemy import select

    from chatrack.sql.tables import usage

    async with chat.server.store.database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(usage))).mappings()]


async def test_a_refusal_is_stored_in_place_of_the_answer(guarded):
    config = guarded(["gate.sentences"], says="Well. TRIP and REFUSE XSECRETX.")
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        assert errors_of(events) == []
        assert answer_of(events) == "This was stopped."
        assert await chat.answers(thread) == ["This was stopped."]
    assert "XSECRETX" not in stored_in(config)


@pytest.mark.parametrize("guardrail", ["gate.whole", "gate.sentences"])
async def test_a_replaced_text_is_the_same_in_deltas_items_store_and_history(guarded, api, guardrail):
    config = guarded([guardrail], says="First. The MASKED word. Last MASKED", api=api)
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        assert "".join(deltas_of(events)) == answer_of(events) == "First. The *** word. Last ***"
        assert notices_of(events) == ["Something was masked."]
        assert await chat.answers(thread) == [answer_of(events)]
        history = await chat.say(thread, "history?")
        assert "The *** word" in answer_of(history)
    assert "MASKED" not in wire_of(events)
    assert "MASKED" not in stored_in(config)


async def test_sentences_are_shown_while_the_model_is_still_writing(guarded, upstream):
    config = guarded(["gate.sentences"], says="One two. Three four five six seven", model="fake-h4")
    async with serving(config) as chat:
        async with chat.stream("threads.create", input=message("instructions?")) as events:
            async for event in events:
                if is_delta(event):
                    break
            assert event["update"]["delta"] == "One two. "
            upstream.state.release("")
            rest = [event async for event in events]
        assert answer_of(rest) == "One two. Three four five six seven"


@pytest.mark.parametrize("guardrail", ["gate.whole", "gate.sentences"])
async def test_what_is_held_back_when_the_client_leaves_is_lost(guarded, guardrail):
    config = guarded(
        [guardrail], says="One two. Three XHELDX five six seven", model="fake-h4", chat="checkpoint = 0.05"
    )
    async with serving(config) as chat:
        async with chat.stream("threads.create", input=message("instructions?")) as events:
            async for event in events:
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                part = event.get("update", {}).get("type", "")
                if part.endswith("text_delta" if guardrail.endswith("sentences") else "part.added"):
                    break
            await asyncio.sleep(0.2)  # checkpoints are stored
        await until(lambda: not len(chat.server.turns))
        wanted = ["One two. "] if guardrail.endswith("sentences") else []
        assert await chat.answers(thread) == wanted
    assert "XHELDX" not in stored_in(config)


async def test_a_cancelled_turn_ends_although_a_check_hangs(guarded, gates):
    import fake_gate

    config = guarded(["gate.whole"], says="HANG XHELDX")
    fake_gate.Out.timeout = 3600.0
    try:
        async with serving(config) as chat:
            async with chat.stream("threads.create", input=message("instructions?")) as events:
                async for event in events:
                    if event["type"] == "thread.item.added":
                        break
                await until(lambda: any("HANG" in call[3] for call in fake_gate.calls))
            await until(lambda: not len(chat.server.turns))
    finally:
        fake_gate.Out.timeout = 0.5
    assert "XHELDX" not in stored_in(config)


async def test_a_tool_runs_only_after_the_text_before_its_call_has_passed(guarded, calls):
    config = guarded(["gate.sentences"])
    async with serving(config) as chat:
        thread, events = await chat.create("first: Look. I show it SLOW\ncall show {}")
        assert [call[0] for call in calls][:3] == ["out", "out", "tool"]
        types = [event["item"]["type"] for event in events if event["type"] == "thread.item.done"]
        assert types.index("assistant_message") < types.index("widget")
        calls.clear()
        events = await chat.say(thread, "first: TRIP it SLOW\ncall show {}")
        assert [call[0] for call in calls] == ["out"]
        assert errors_of(events)
        stored = [item["type"] for item in await chat.items(thread)]
        assert stored.count("widget") == 1


async def test_what_tools_showed_is_removed_when_the_answer_trips_later(guarded, calls):
    config = guarded(["gate.whole"])
    async with serving(config) as chat:
        # The fake's answer after a tool is "Tool said: shown".
        import fake_gate

        original = fake_gate.judge

        async def trip_on_shown(text, direction, context):
            return await original(text.replace("shown", "TRIP"), direction, context)

        fake_gate.judge = trip_on_shown
        try:
            thread, events = await chat.create("call show {}")
        finally:
            fake_gate.judge = original
        assert errors_of(events)
        shown = {
            event["item"]["id"]
            for event in events
            if event["type"] in {"thread.item.added", "thread.item.done"}
            and event["item"]["type"] != "user_message"
        }
        removed = {event["item_id"] for event in events if event["type"] == "thread.item.removed"}
        assert removed == shown
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]


async def test_reasoning_of_a_guarded_agent_is_neither_shown_nor_stored_in_words(guarded, api):
    config = guarded(["gate.sentences"], model="fake-r", api=api)
    async with serving(config) as chat:
        thread, events = await chat.create("Hello.")
        assert answer_of(events).startswith("w0")
        assert "Thinking" not in wire_of(events)
        assert errors_of(await chat.say(thread, "Go on.")) == []
    assert "Thinking" not in stored_in(config)


async def test_a_retry_that_trips_leaves_the_old_answer(guarded):
    import fake_gate

    config = guarded(["gate.sentences"], says="Fine. XOLDX.")
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        before = await chat.items(thread)
        original = fake_gate.judge

        async def trip(text, direction, context):
            return await original("TRIP REFUSE", direction, context)

        fake_gate.judge = trip
        try:
            events = await chat.events("threads.retry_after_item", thread_id=thread, item_id=before[0]["id"])
        finally:
            fake_gate.judge = original
        assert errors_of(events)[0]["message"] == "This was stopped."
        assert await chat.items(thread) == before


# -- input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_message_that_trips_reaches_neither_store_nor_model(guarded, upstream, fault, capfd):
    config = guarded(["gate.in"], chat='titles = "model"')
    async with serving(config) as chat:
        events = await chat.events("threads.create", input=message(f"XSECRETX {fault}"))
        assert [event["type"] for event in events] == ["error"]
        assert events[0]["allow_retry"] is False
        assert (await chat.get("threads.list"))["data"] == []
        await end_stubborn_checks()
        thread, _ = await chat.create("Hello.")
        before = await chat.items(thread)
        events = await chat.say(thread, f"XSECRETX {fault}")
        assert [event["type"] for event in events] == ["error"]
        assert await chat.items(thread) == before
        await end_stubborn_checks()
    assert "XSECRETX" not in json.dumps(list(upstream.state.log))
    assert "XSECRETX" not in stored_in(config)
    assert "XSECRETX" not in capfd.readouterr().err


async def test_a_refusal_of_a_message_leaves_a_placeholder(guarded, upstream):
    config = guarded(["gate.in"])
    async with serving(config) as chat:
        thread, events = await chat.create("XSECRETX TRIP REFUSE")
        assert events[0]["thread"]["title"] == "[This message was withheld.]"
        assert answer_of(events) == "This was stopped."
        items = await chat.items(thread)
        assert [text_of(item) for item in items] == ["[This message was withheld.]", "This was stopped."]
        assert errors_of(await chat.say(thread, "Hello.")) == []
    assert "XSECRETX" not in json.dumps(list(upstream.state.log))
    assert "XSECRETX" not in stored_in(config)


async def test_a_masked_message_is_masked_everywhere(guarded, upstream):
    config = guarded(["gate.in"], chat='titles = "model"')
    async with serving(config) as chat:
        given = message("My MASKED key", quoted_text="say MASKED")
        given["content"].append(
            {"type": "input_tag", "id": "t1", "text": "x", "data": {"a": ["MASKED", 1]}, "group": "MASKED"}
        )
        events = await chat.events("threads.create", input=given)
        assert notices_of(events) == ["Something was masked."]
        assert events[0]["thread"]["title"] == "My *** key x"
        [item] = [
            item for item in await chat.items(events[0]["thread"]["id"]) if item["type"] == "user_message"
        ]
        assert item["quoted_text"] == "say ***"
        assert item["content"][1]["data"] == {"a": ["***", 1]}
        types = [event["type"] for event in events]
        assert types.index("thread.item.done") < types.index("notice")
    assert "MASKED" not in wire_of(events)
    assert "MASKED" not in json.dumps(list(upstream.state.log))
    assert "MASKED" not in stored_in(config)


async def test_the_agent_handed_to_checks_the_message_before_its_model_reads_it(guarded, upstream, calls):
    extra = """
[agents.expert]
instructions = "You know."
guardrails = ["gate.in"]
"""
    config = guarded([], extra=extra)
    text = config.read_text().replace("guardrails = []", 'handoffs = ["expert"]', 1)
    config.write_text(text)
    async with serving(config) as chat:
        thread, events = await chat.create("MASKED echo\ncall transfer_to_expert {}")
        assert errors_of(events) == []
        assert [call[:2] for call in calls] == [("in", "expert")]
        assert notices_of(events) == ["Something was masked."]
        assert text_of((await chat.items(thread))[0]).startswith("*** echo")
        bodies = [json.dumps(entry) for entry in upstream.state.log]
        assert ["MASKED" in body for body in bodies] == [True, False]

        # `first` is read by the fake alone: the message trips the second agent's guardrail.
        events = await chat.say(thread, "TRIP now\ncall transfer_to_expert {}")
        assert errors_of(events)[0]["message"] == "This was stopped."
        items = await chat.items(thread)
        assert not any("TRIP" in json.dumps(item) for item in items)
        events = await chat.say(thread, "history?")
        assert "TRIP" not in answer_of(events)

        events = await chat.say(thread, "TRIP REFUSE\ncall transfer_to_expert {}")
        assert answer_of(events) == "This was stopped."
        assert [text_of(item) for item in (await chat.items(thread))[-2:]] == [
            "[This message was withheld.]",
            "This was stopped.",
        ]


@pytest.mark.parametrize("titles", ["message", "model"])
@pytest.mark.parametrize("stored", ["", "REFUSE "])
async def test_no_title_is_left_of_a_message_that_a_later_agent_withholds(guarded, titles, stored):
    extra = '[agents.expert]\ninstructions = "You know."\nguardrails = ["gate.in"]\n'
    config = guarded([], extra=extra, chat=f'titles = "{titles}"')
    config.write_text(config.read_text().replace("guardrails = []", 'handoffs = ["expert"]', 1))
    async with serving(config) as chat:
        thread, events = await chat.create(f"XSECRETX TRIP {stored}echo\ncall transfer_to_expert {{}}")
        assert "This was stopped." in wire_of(events)
    async with serving(config) as chat:  # all tasks of the first server have ended
        title = (await chat.get("threads.get_by_id", thread_id=thread))["title"]
        assert title == "[This message was withheld.]"


async def test_only_the_agent_that_speaks_is_held_back(guarded, calls):
    extra = """
[agents.expert]
instructions = "MASKED expert. Done"
guardrails = ["gate.sentences"]
"""
    config = guarded([], extra=extra)
    config.write_text(config.read_text().replace("guardrails = []", 'handoffs = ["expert"]', 1))
    async with serving(config) as chat:
        _, events = await chat.create("first: MASKED first\ncall transfer_to_expert {}")
        assert deltas_of(events)[:2] == ["MASKED ", "first"]
        assert {call[1] for call in calls} == {"expert"}


@pytest.mark.parametrize("fault", ["TRIP", "TRIP REFUSE", "RAISE"])
async def test_a_retry_is_checked_by_the_guardrails_of_today(guarded, upstream, fault):
    config = guarded([])
    plain = config.read_text()
    async with serving(config) as chat:
        thread, _ = await chat.create(f"{fault} later")
        before = await chat.items(thread)
    config.write_text(plain.replace("guardrails = []", 'guardrails = ["gate.in"]'))
    async with serving(config) as chat:
        events = await chat.events("threads.retry_after_item", thread_id=thread, item_id=before[0]["id"])
        assert len(errors_of(events)) == 1
        after = await chat.items(thread)
        if fault == "RAISE":
            assert after == before
        else:
            assert [text_of(item) for item in after] == ["[This message was withheld.]", text_of(before[1])]
            assert after[1:] == before[1:]
            assert [event["item"] for event in events if event["type"] == "thread.item.replaced"] == after[:1]
            upstream.state.log.clear()
            assert errors_of(await chat.say(thread, "Hello.")) == []
            assert fault not in json.dumps(list(upstream.state.log)[-1:])


@pytest.mark.parametrize("link", ["", " https://evil.net/"])
async def test_the_model_that_goes_on_after_a_tool_reads_what_the_user_read(guarded, api, upstream, link):
    config = guarded(["gate.sentences"], api=api, chat='link_hosts = ["example.com"]' if link else "")
    async with serving(config) as chat:
        _, events = await chat.create(f"first: A MASKED thing.{link}\ncall show {{}}")
        assert errors_of(events) == []
    body = upstream.state.log[-1]["body"]
    said = [entry for entry in body.get("input", body.get("messages")) if entry.get("role") == "assistant"]
    assert "A *** thing." in json.dumps(said)
    assert "MASKED" not in json.dumps(said)


@pytest.mark.parametrize("guardrail", ["gate.whole", "gate.sentences"])
async def test_sources_are_checked_with_the_text(guarded, guardrail, monkeypatch):
    import fake_gate

    original = fake_gate.judge

    async def mask_sources(text, direction, context):
        return await original(text.replace("https", "MASKED"), direction, context)

    config = guarded([guardrail], model="fake-search")
    async with serving(config) as chat:
        thread, events = await chat.create("Hello.")
        [part] = next(item for item in await chat.items(thread) if item["type"] == "assistant_message")[
            "content"
        ]
        assert part["annotations"]
        monkeypatch.setattr(fake_gate, "judge", mask_sources)
        events = await chat.say(thread, "Hello.")
        assert "url" not in wire_of([event for event in events if "assistant" in wire_of([event])])


@pytest.mark.parametrize("guardrail", ["gate.whole", "gate.sentences"])
async def test_no_guardrail_makes_a_link_to_a_host_that_is_not_listed(guarded, guardrail, monkeypatch):
    import fake_gate

    async def unite(text, direction, context):
        return Replace(text.replace("MASKED", "").replace("\n", ""))

    monkeypatch.setattr(fake_gate, "judge", unite)
    says = "A ![x]MASKED(//evil.net/?q=1) and ![y]\n(//evil.net/?q=2) and [z](https://example.com/z)."
    config = guarded([guardrail], says=says, chat='link_hosts = ["example.com"]')
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        shown = answer_of(events)
        assert shown == "A ![x] (link removed) and ![y] (link removed) and [z](https://example.com/z)."
        assert "".join(deltas_of(events)) == shown
        assert await chat.answers(thread) == [shown]
        assert "evil.net" not in wire_of(events)


ASKING = '''
from datetime import datetime

import chatrack
from chatkit.types import (
    ClientToolCallItem, StructuredInputFreeform, StructuredInputItem, ThreadItemDoneEvent
)


class Plugin:
    api = 1

    @chatrack.hookimpl
    def tools(self):
        @chatrack.function_tool
        async def ask_page(ctx: chatrack.ToolContext) -> str:
            """Call a tool of the page."""
            call = ClientToolCallItem(
                id="tc_1", thread_id="", created_at=datetime.now(), call_id="call_of_page", name="read", arguments={}
            )
            await ctx.context.stream(ThreadItemDoneEvent(item=call))
            return "asked"

        @chatrack.function_tool
        async def ask_user(ctx: chatrack.ToolContext) -> str:
            """Ask the user."""
            item = StructuredInputItem(
                id="msg_q", thread_id="", created_at=datetime.now(),
                inputs=[StructuredInputFreeform(id="q1", question="Which colour?")],
            )
            await ctx.context.stream(ThreadItemDoneEvent(item=item))
            return "asked"

        return [ask_page, ask_user]
'''


async def test_answers_and_outputs_of_client_tools_are_checked_too(guarded, gates, upstream):
    gates.install_source("asking", ASKING)
    config = guarded(["gate.in"])
    text = (
        config.read_text().replace('"gate"]', '"gate", "asking"]').replace('"gate.*"', '"gate.*", "asking.*"')
    )
    config.write_text(text)
    async with serving(config) as chat:
        thread, _ = await chat.create("call ask_user {}")

        async def answer(text):
            given = {"status": "answered", "answers": {"q1": {"values": [text]}}}
            return await chat.events(
                "threads.add_structured_input", thread_id=thread, item_id="msg_q", input=given
            )

        events = await answer("XSECRETX TRIP")
        assert [event["type"] for event in events] == ["error"]
        events = await answer("dark MASKED")
        assert notices_of(events) == ["Something was masked."]
        [question] = [item for item in await chat.items(thread) if item["type"] == "structured_input"]
        assert question["inputs"][0]["answer"]["values"] == ["dark ***"]

        await chat.say(thread, "call ask_page {}")

        async def output(value):
            return await chat.events("threads.add_client_tool_output", thread_id=thread, result=value)

        assert [event["type"] for event in await output({"a": ["XSECRETX TRIP"]})] == ["error"]
        assert errors_of(await output({"a": ["MASKED", 1, "x"]})) == []
        [call] = [item for item in await chat.items(thread) if item["type"] == "client_tool_call"]
        assert call["output"] == {"a": ["***", 1, "x"]}
    for word in ("XSECRETX", "MASKED"):
        assert word not in stored_in(config)
        assert word not in json.dumps(list(upstream.state.log))


async def test_the_checks_of_one_input_are_few_and_end_together(guarded, calls):
    config = guarded(["gate.in", "gate.second"])

    def with_data(*data):
        given = message("MASKED")
        given["content"].append({"type": "input_tag", "id": "t", "text": "x", "data": {"a": data}})
        return given

    async with serving(config) as chat:
        thread, events = await chat.create("Hello.")
        calls.clear()
        given = with_data(*["MASKED", "y"] * 200)
        events = await chat.events("threads.add_user_message", thread_id=thread, input=given)
        assert errors_of(events) == []
        texts = [text for *_, text in calls]
        assert sorted(texts[2:]) == ["MASKED", "a", "t", "x", "y"]  # the first guardrail alone replaces

        calls.clear()
        given = with_data(*map(str, range(200)))
        events = await chat.events("threads.add_user_message", thread_id=thread, input=given)
        assert [event["type"] for event in events] == ["error"]
        assert len(calls) == 2

        calls.clear()
        given = with_data(*(f"SLOW {number}" for number in range(50)))
        events = await chat.events("threads.add_user_message", thread_id=thread, input=given)
        assert [event["type"] for event in events] == ["error"]
        assert len(calls) < 40


async def test_numbers_are_checked_as_models_read_them(guarded, monkeypatch):
    import fake_gate

    async def hide_card(text, direction, context):
        return Replace(text.replace("4111111111111111", "a card")) if "4111111111111111" in text else None

    monkeypatch.setattr(fake_gate, "judge", hide_card)
    config = guarded(["gate.in"])
    data = {"card": 4111111111111111, "4111111111111111": [1, 2.5, True, None]}
    async with serving(config) as chat:
        given = message("Hello.")
        given["content"].append({"type": "input_tag", "id": "t", "text": "x", "data": data})
        events = await chat.events("threads.create", input=given)
        assert errors_of(events) == []
        stored = (await chat.items(events[0]["thread"]["id"]))[0]["content"][1]["data"]
        assert stored == {"card": "a card", "a card": [1, 2.5, True, None]}
    assert "4111111111111111" not in stored_in(config)


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ("TRIP", "Hello"),
        ("MASKED", "*** w1 w2"),
        ("RAISE", "Hello"),
        ("EMPTY", "Hello"),
        ("LINES\n\n", "LINES w1 w2"),
    ],
)
async def test_titles_that_models_write_are_checked_too(guarded, calls, monkeypatch, fault, title):
    import fake_gate

    original = fake_gate.judge

    async def judge_titles(text, direction, context):
        if fault in {"EMPTY", "LINES\n\n"} and text.startswith("w0"):
            fake_gate.calls.append(text)
            return Replace("" if fault == "EMPTY" else text.replace("w0", fault))
        return await original(text.replace("w0", fault), direction, context)

    monkeypatch.setattr(fake_gate, "judge", judge_titles)
    config = guarded(["gate.whole"], model="fake-n3", chat='titles = "model"')
    async with serving(config) as chat:
        events = await chat.events("threads.create", input=message("Hello"))
        thread = events[0]["thread"]["id"]

        async def current():
            return (await chat.get("threads.get_by_id", thread_id=thread))["title"]

        for _ in range(100):
            if await current() == title and len(fake_gate.calls) >= 2:
                break
            await asyncio.sleep(0.05)
        assert await current() == title
    assert "w0" not in stored_in(config)


# -- limits ------------------------------------------------------------------------------------------------


async def test_who_has_no_tokens_left_costs_no_check(guarded, calls):
    async with serving(guarded(["in"], extra="[limits]\ntokens_per_day = 10")) as chat:
        thread, _ = await chat.create("the first")
        assert (await chat.call("threads.create", input=message("the second"))).status_code == 429
        refused = await chat.call("threads.add_user_message", thread_id=thread, input=message("the third"))
        assert refused.status_code == 429
    assert [text for *_, text in calls] == ["the first"]


async def test_a_new_conversation_that_is_withheld_counts_as_one(guarded, calls):
    async with serving(guarded(["in"], extra="[limits]\nthreads_per_hour = 2")) as chat:
        for number in range(2):
            assert errors_of(await chat.events("threads.create", input=message(f"TRIP {number}")))
        assert (await chat.call("threads.create", input=message("TRIP 2"))).status_code == 429
        assert (await chat.get("threads.list"))["data"] == []
    assert len(calls) == 2


async def test_what_guardrails_are_checking_counts_as_turns_of_the_user(guarded, calls):
    import fake_gate

    async with serving(guarded(["second"], extra="[limits]\nturns_per_user = 1")) as chat:
        first = asyncio.create_task(chat.create("WAIT for it"))
        await until(lambda: calls)
        refused = await chat.call("threads.create", input=message("too much"))
        assert refused.status_code == 429
        assert "turns_per_user" in refused.headers["ratelimit"]
        fake_gate.opened.set()
        assert not errors_of((await first)[1])
        assert not errors_of((await chat.create("once more"))[1])
    assert [text for *_, text in calls] == ["WAIT for it", "once more"]
