"""Turns over both of OpenAI's APIs and every kind of store, against an upstream that refuses what the real one refuses."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tests.support.databases import KINDS, only_sqlite, over_apis_and_stores
from tests.support.serving import answer_of, errors_of, is_delta, message, serving, text_of
from tests.support.waiting import until, until_idle

not_about_the_store = only_sqlite("nothing of it is in the store")
kinds_store_it_alike = only_sqlite(
    "every store passes the contract suite, and others of these tests use each kind"
)


@pytest.fixture(params=KINDS)
def kind(request):
    """Every kind of database."""
    return request.param


@over_apis_and_stores
async def test_many_turns_are_stored_each_once_and_in_order(configure, api):
    async with serving(configure(api=api)) as chat:
        thread, events = await chat.create("echo: answer 0")
        assert answer_of(events) == "answer 0"
        for turn in range(1, 6):
            events = await chat.say(thread, f"echo: answer {turn}")
            assert not errors_of(events), events
            assert answer_of(events) == f"answer {turn}"
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 6
        assert await chat.answers(thread) == [f"answer {turn}" for turn in range(6)]
        assert len({item["id"] for item in items}) == 12


@kinds_store_it_alike
async def test_a_message_has_one_id_of_ours_from_its_first_event_to_its_last(configure, api):
    async with serving(configure(api=api)) as chat:
        thread, events = await chat.create("hello")
        ids = {event["item_id"] for event in events if event["type"] == "thread.item.updated"}
        added = [event["item"] for event in events if event["type"] == "thread.item.added"]
        done = [event["item"] for event in events if event["type"] == "thread.item.done"][-1]
        assert ids == {added[0]["id"]} == {done["id"]}
        assert added[0]["created_at"] == done["created_at"]
        assert done["id"].startswith("msg_")
        assert "".join(event["update"]["delta"] for event in events if is_delta(event)) == text_of(done)
        assert (await chat.items(thread))[1] == done


@not_about_the_store
async def test_ids_carry_at_least_122_bits(chat):
    thread, _ = await chat.create("hello")
    for value in [thread, *(item["id"] for item in await chat.items(thread))]:
        assert len(value.partition("_")[2]) == 32


async def test_every_time_on_the_wire_is_utc(chat):
    began = datetime.now(UTC).replace(microsecond=0)
    thread, events = await chat.create("hello")
    items = await chat.items(thread)
    times = [events[0]["thread"]["created_at"], *(item["created_at"] for item in items)]
    for moment in times:
        assert moment.endswith("Z")
        assert began <= datetime.fromisoformat(moment) <= datetime.now(UTC)


@over_apis_and_stores
async def test_tool_calls_and_results_are_remembered_and_never_shown(configure, api):
    async with serving(configure(api=api, todos=True)) as chat:
        thread, events = await chat.create('call create_todo {"title": "buy milk"}')
        assert not errors_of(events)
        assert "buy milk" in answer_of(events)
        events = await chat.say(thread, "history?")
        seen = answer_of(events)
        assert 'call:create_todo({"title": "buy milk"})' in seen
        assert "output:" in seen
        shown = json.dumps([await chat.items(thread), await chat.get("threads.get_by_id", thread_id=thread)])
        assert "hidden" not in shown
        assert "call_id" not in shown
        shown = {item["type"] for item in await chat.items(thread)}
        assert shown == {"user_message", "workflow", "assistant_message"}


@kinds_store_it_alike
async def test_parallel_calls_keep_their_results(configure, api):
    async with serving(configure(api=api, todos=True)) as chat:
        thread, events = await chat.create(
            'call create_todo {"title": "one"}\ncall create_todo {"title": "two"}'
        )
        assert not errors_of(events), events
        for _ in range(2):
            events = await chat.say(thread, "history?")
            assert not errors_of(events), events
            assert answer_of(events).count("call:create_todo") >= 2


@not_about_the_store
async def test_a_tool_that_fails_tells_the_model_and_not_the_user_and_the_turn_goes_on(configure, api):
    async with serving(configure(api=api, todos=True)) as chat:
        _, events = await chat.create('call create_todo {"title": ""}')
        assert not errors_of(events)
        assert "Error" in answer_of(events)
        _, events = await chat.create('call create_todo {"priority": "high"}')
        assert "title" in answer_of(events)
        assert "Traceback" not in answer_of(events)


@over_apis_and_stores
async def test_hanging_up_stops_the_model_and_keeps_the_partial_answer(configure, upstream, api):
    async with serving(configure(api=api, model="fake-n200-h20")) as chat:
        received = ""
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if is_delta(event):
                    received += event["update"]["delta"]
                    if received.endswith("w19 "):
                        break
        await until(lambda: upstream.state.aborted == 1)
        await until_idle(chat)
        answers = await chat.answers(thread)
        assert answers == [received]
        chat.server.assembly.default_agent.agent.model.model = "fake"
        events = await chat.say(thread, "history?")
        assert not errors_of(events), events
        assert "cancelled" in answer_of(events)


@kinds_store_it_alike
async def test_hanging_up_at_once_leaves_a_thread_that_takes_messages(configure, api):
    async with serving(configure(api=api, model="fake-h0")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
        await until_idle(chat)
        assert await chat.answers(thread) == []
        chat.server.assembly.default_agent.agent.model.model = "fake"
        assert not errors_of(await chat.say(thread, "echo: back"))


@kinds_store_it_alike
async def test_a_disconnect_lets_the_turn_go_on_when_it_is_configured_so(configure, upstream, api):
    async with serving(configure(api=api, model="fake-n50-h10", chat='on_disconnect = "continue"')) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if event["type"] == "stream_options":
                    assert event["stream_options"] == {"allow_cancel": False}
                if is_delta(event):
                    break
        upstream.state.release()
        await until_idle(chat)
        assert (await chat.answers(thread))[0].split() == [f"w{number}" for number in range(50)]
        assert upstream.state.aborted == 0


async def test_a_message_sent_while_the_turn_before_is_being_cancelled_waits_for_it(configure):
    async with serving(configure(model="fake-h1", chat="busy_wait = 60")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if is_delta(event):
                    break
        chat.server.assembly.default_agent.agent.model.model = "fake"
        assert not errors_of(await chat.say(thread, "echo: next"))
        types = [item["type"] for item in await chat.items(thread)]
        assert types == ["user_message", "assistant_message"] * 2


async def test_a_second_turn_in_a_busy_thread_is_a_409(configure, upstream):
    async with serving(configure(model="fake-h1", chat="busy_wait = 0.3")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
            refused = await chat.call("threads.add_user_message", thread_id=thread, input=message("me too"))
            assert refused.status_code == 409
            assert refused.headers["content-type"].startswith("application/problem+json")
            upstream.state.release()
            rest = [event async for event in events]
        assert not errors_of(rest)
        assert [item["type"] for item in await chat.items(thread)] == ["user_message", "assistant_message"]


@kinds_store_it_alike
async def test_a_rename_during_a_turn_stays(configure, upstream):
    async with serving(configure(model="fake-h1")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
            await chat.get("threads.update", thread_id=thread, title="Mine")
            upstream.state.release()
            async for _ in events:
                pass
        assert (await chat.get("threads.get_by_id", thread_id=thread))["title"] == "Mine"


@over_apis_and_stores
async def test_text_that_was_seen_before_a_failure_is_kept(configure, api):
    async with serving(configure(api=api, model="fake-n50-x20-d2", tools="[]")) as chat:
        thread, events = await chat.create("tell me")
        seen = "".join(event["update"]["delta"] for event in events if is_delta(event))
        assert len(seen) > 10
        [error] = errors_of(events)
        assert error["allow_retry"] is True
        assert events[-1] == error
        assert await chat.answers(thread) == [seen]
        chat.server.assembly.default_agent.agent.model.model = "fake"
        events = await chat.say(thread, "history?")
        assert "failed before it was complete" in answer_of(events)


@not_about_the_store
@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_a_provider_that_refuses_ends_the_stream_with_an_error_event(configure, api, status):
    async with serving(configure(api=api, model=f"fake-e{status}")) as chat:
        chat.server.assembly.default_agent.agent.model._client = (
            chat.server.assembly.default_agent.agent.model._client.with_options(max_retries=0)
        )
        thread, events = await chat.create("tell me")
        [error] = errors_of(events)
        assert events[-1] == error
        assert "sk-" not in json.dumps(events)
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
        chat.server.assembly.default_agent.agent.model.model = "fake"
        assert not errors_of(await chat.say(thread, "echo: again"))


@over_apis_and_stores
async def test_a_retry_replaces_the_old_answer_once_the_new_one_is_complete(configure, api):
    async with serving(configure(api=api, todos=True)) as chat:
        thread, _ = await chat.create("echo: first")
        await chat.say(thread, 'call create_todo {"title": "x"}')
        before = await chat.items(thread)
        events = await chat.events("threads.retry_after_item", thread_id=thread, item_id=before[0]["id"])
        assert not errors_of(events)
        removed = [event["item_id"] for event in events if event["type"] == "thread.item.removed"]
        assert removed == [item["id"] for item in before[1:]]
        after = await chat.items(thread)
        assert [text_of(item) for item in after] == ["echo: first", "first"]
        assert after[1]["id"] not in removed
        events = await chat.say(thread, "history?")
        assert answer_of(events) == "user:echo: first | assistant:first | user:history?"


@kinds_store_it_alike
async def test_a_retry_that_fails_leaves_the_old_answer(configure, api):
    async with serving(configure(api=api)) as chat:
        thread, _ = await chat.create("tell me")
        before = await chat.items(thread)
        chat.server.assembly.default_agent.agent.model.model = "fake-n50-x20-d2"
        events = await chat.events("threads.retry_after_item", thread_id=thread, item_id=before[0]["id"])
        assert errors_of(events)
        shown = {event["item"]["id"] for event in events if event["type"] == "thread.item.added"}
        removed = {event["item_id"] for event in events if event["type"] == "thread.item.removed"}
        assert shown == removed
        assert await chat.items(thread) == before


def saves_of(chat, monkeypatch):
    """Return a list that grows with each checkpoint that is stored."""
    saved, checkpoint = [], chat.server.store.checkpoint

    async def watched(writes):
        await checkpoint(writes)
        saved.append(writes)

    monkeypatch.setattr(chat.server.store, "checkpoint", watched)
    return saved


async def test_a_running_retry_is_invisible_and_a_cancelled_one_changes_nothing(configure, monkeypatch):
    async with serving(configure(chat="checkpoint = 0.05")) as chat:
        thread, _ = await chat.create("tell me")
        before = await chat.items(thread)
        chat.server.assembly.default_agent.agent.model.model = "fake-n100-h20"
        saved = saves_of(chat, monkeypatch)
        async with chat.stream(
            "threads.retry_after_item", thread_id=thread, item_id=before[0]["id"]
        ) as events:
            seen = 0
            while seen < 20:
                seen += is_delta(await anext(events))
            await until(lambda: saved)  # some of it is stored, and not shown
            assert await chat.items(thread) == before
        await until_idle(chat)
        assert await chat.items(thread) == before


async def test_a_running_answer_is_checkpointed(configure):
    async with serving(configure(model="fake-n100-h16", chat="checkpoint = 0.1")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if is_delta(event) and event["update"]["delta"] == "w15 ":
                    break

            async def all_saved():
                return await chat.answers(thread) == ["".join(f"w{number} " for number in range(16))]

            await until(all_saved)
        await until_idle(chat)


@kinds_store_it_alike
async def test_the_history_window_drops_whole_turns_in_blocks(configure, upstream):
    async with serving(configure(chat="history_tokens = 1000")) as chat:
        thread, _ = await chat.create("echo: 0 " + "b" * 300)
        for number in range(1, 20):
            await chat.say(thread, f"echo: {number} " + "b" * 300)
        shown = [request["body"]["input"] for request in upstream.state.log]
        assert all(window[0]["role"] == "user" for window in shown)
        firsts = [int(str(window[0]["content"]).split("echo: ")[1].split()[0]) for window in shown]
        assert firsts == sorted(firsts)
        # The window begins at the same place for several turns in a row, then moves by several turns.
        moves = [after - before for before, after in pairwise(firsts) if after != before]
        assert moves
        assert min(moves) >= 2
        assert firsts.count(firsts[-1]) + firsts.count(moves[0]) >= 3
        assert max(len(json.dumps(window)) for window in shown) < 8000


@not_about_the_store
async def test_the_first_message_names_the_thread(chat):
    _, events = await chat.create(
        "  What is\n the  best way to peel an orange without getting juice everywhere?  "
    )
    title = events[0]["thread"]["title"]
    assert title.startswith("What is the best way")
    assert title.endswith("…")
    assert len(title) <= 60


@kinds_store_it_alike
async def test_the_model_may_improve_the_title(configure, upstream):
    async with serving(configure(model="fake-h0", chat='titles = "model"')) as chat:
        async with chat.stream("threads.create", input=message("echo: Peeling oranges")) as stream:
            events = [await anext(stream)]
            thread = events[0]["thread"]["id"]
            while events[-1]["type"] != "thread.updated":
                events.append(await anext(stream))
            upstream.state.release()
            events += [event async for event in stream]
        updates = [event["thread"] for event in events if event["type"] == "thread.updated"]
        assert [update["title"] for update in updates] == ["Peeling oranges"]
        assert (await chat.get("threads.get_by_id", thread_id=thread))["title"] == "Peeling oranges"


async def test_feedback_is_stored_and_the_newest_counts(chat):
    thread, _ = await chat.create("hello")
    item = (await chat.items(thread))[1]["id"]
    for kind in ("positive", "negative"):
        assert await chat.get("items.feedback", thread_id=thread, item_ids=[item], kind=kind) == {}
    from sqlalchemy import text

    async with chat.server.store.database.read() as connection:
        rows = (await connection.execute(text("SELECT item_id, kind FROM chatrack_feedback"))).all()
    assert rows == [(item, "negative")]


async def test_deleting_a_thread_takes_everything_along_and_stops_its_turn(configure, upstream):
    async with serving(configure(model="fake-h1")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
            async for event in events:
                if is_delta(event):
                    break
            assert await chat.get("threads.delete", thread_id=thread) == {}
            rest = [event async for event in events]
        assert rest[-1]["type"] == "error"
        await until(lambda: upstream.state.aborted == 1)
        assert (await chat.call("threads.get_by_id", thread_id=thread)).status_code == 404
        assert (await chat.get("threads.list"))["data"] == []
        from sqlalchemy import text

        async with chat.server.store.database.read() as connection:
            for table in ("items", "leases", "feedback", "attachments"):
                assert (
                    await connection.execute(text(f"SELECT count(*) FROM chatrack_{table}"))
                ).scalar() == 0


@kinds_store_it_alike
async def test_a_thread_comes_with_its_oldest_items_and_pages_on_from_there(chat):
    thread, _ = await chat.create("echo: 0")
    for number in range(1, 13):
        await chat.say(thread, f"echo: {number}")
    first = (await chat.get("threads.get_by_id", thread_id=thread))["items"]
    assert len(first["data"]) == 20
    assert first["has_more"]
    rest = await chat.get("items.list", thread_id=thread, order="asc", after=first["after"], limit=20)
    everything = await chat.items(thread)
    assert first["data"] + rest["data"] == everything
    assert not rest["has_more"]
    newest = await chat.get("items.list", thread_id=thread, limit=5)
    assert newest["data"] == everything[::-1][:5]


@not_about_the_store
async def test_json_is_compressed_and_streams_never_are(chat):
    thread, _ = await chat.create("echo: " + "word " * 500)
    response = await chat.call("threads.get_by_id", thread_id=thread)
    assert response.headers["content-encoding"] == "gzip"
    plain = await chat.http.post(
        chat.path,
        json={"type": "threads.get_by_id", "params": {"thread_id": thread}},
        headers={"accept-encoding": "gzip;q=0, identity"},
    )
    assert "content-encoding" not in plain.headers
    assert plain.json() == response.json()
    body = {"type": "threads.create", "params": {"input": message("hi")}}
    request = chat.http.build_request("POST", chat.path, json=body, headers={"accept-encoding": "gzip"})
    stream = await chat.http.send(request, stream=True)
    assert "content-encoding" not in stream.headers
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    await stream.aread()
    await stream.aclose()


@not_about_the_store
async def test_cross_origin_requests_are_answered_for_the_configured_origins(configure):
    config = configure(server='cors_origins = ["http://page.example"]')
    async with serving(config) as chat:
        headers = {
            "origin": "http://page.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, x-domain-key, content-type",
        }
        preflight = await chat.http.options(chat.path, headers=headers)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "http://page.example"
        assert preflight.headers["access-control-allow-credentials"] == "true"
        assert "x-domain-key" in preflight.headers["access-control-allow-headers"].lower()
        response = await chat.http.post(
            chat.path, json={"type": "threads.list"}, headers={"origin": "http://page.example"}
        )
        assert response.headers["access-control-allow-origin"] == "http://page.example"
        assert "X-Request-Id" in response.headers["access-control-expose-headers"]
        refused = await chat.http.options(chat.path, headers={**headers, "origin": "http://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


@not_about_the_store
async def test_an_error_is_readable_across_origins(configure):
    async with serving(configure(server='cors_origins = ["http://page.example"]')) as chat:
        for response in (
            await chat.http.post(chat.path, content=b"{", headers={"origin": "http://page.example"}),
            await chat.http.get("/nothing", headers={"origin": "http://page.example"}),
        ):
            assert response.headers["access-control-allow-origin"] == "http://page.example"
