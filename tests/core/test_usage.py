"""Tokens are counted for each turn, agent and model, as far as the provider reports them, and else estimated."""

import math

from sqlalchemy import select
from structlog.testing import capture_logs

from chatrack.sql.tables import usage
from tests.support.serving import errors_of, is_delta, message, serving
from tests.support.waiting import until_idle


async def rows_of(chat, thread):
    async with chat.server.store.database.read() as connection:
        found = await connection.execute(select(usage).where(usage.c.thread_id == thread))
        return found.all()


async def test_a_turn_with_a_tool_notes_what_all_its_requests_used(configure):
    async with serving(configure(todos=True)) as chat:
        thread, _ = await chat.create('call create_todo {"title": "milk"}')
        [row] = await rows_of(chat, thread)
        assert (row.tenant_id, row.user_id) == ("default", "local")
        assert (row.agent, row.model, row.requests) == ("helper", "openai/fake", 2)
        assert row.input_tokens > 0
        assert row.output_tokens > 0
        assert row.cached_tokens == 0
        assert row.reasoning_tokens == 0
        await chat.say(thread, "echo: again")
        assert [row.requests for row in await rows_of(chat, thread)] == [2, 1]


async def test_a_turn_that_was_cancelled_before_the_provider_told_has_an_estimate(configure):
    async with serving(configure(model="fake-n500-h400")) as chat:
        async with chat.stream("threads.create", input=message("hello " * 400)) as stream:
            events = [await anext(stream)]
            thread = events[0]["thread"]["id"]
            while sum(map(is_delta, events)) < 400:
                events.append(await anext(stream))
        await until_idle(chat)
        [row] = await rows_of(chat, thread)
        assert row.requests == 1
        assert 600 < row.input_tokens < 650  # 2400 characters, and the instructions
        written = sum(len(event["update"]["delta"]) for event in events if is_delta(event))
        assert row.output_tokens == math.ceil(written / 4)
        assert row.cached_tokens is None
        assert row.reasoning_tokens is None


async def test_a_turn_whose_answer_was_cut_off_has_an_estimate(configure):
    async with serving(configure(model="fake-n50-length")) as chat:
        thread, events = await chat.create("hello")
        assert errors_of(events)
        [row] = await rows_of(chat, thread)
        assert row.input_tokens > 0
        assert row.output_tokens == math.ceil(sum(len(f"w{number} ") for number in range(50)) / 4)


async def test_text_that_a_guardrail_held_back_is_in_the_estimate(configure):
    config = configure(
        model="fake-n50-length",
        tools='[]\nguardrails = ["guardrails.secrets"]',
        enabled='["sqlite_store", "openai_provider", "guardrails"]',
    )
    async with serving(config) as chat:
        thread, events = await chat.create("hello")
        assert errors_of(events)
        [row] = await rows_of(chat, thread)
        assert row.output_tokens == math.ceil(sum(len(f"w{number} ") for number in range(50)) / 4)


async def test_a_call_that_the_provider_refused_costs_nothing(configure):
    async with serving(configure(model="fake-e400")) as chat:
        thread, events = await chat.create("hello")
        assert errors_of(events)
        [row] = await rows_of(chat, thread)
        assert row.input_tokens is None
        assert row.output_tokens is None


async def test_usage_outlives_its_thread(configure):
    async with serving(configure()) as chat:
        thread, _ = await chat.create("hello")
        await chat.get("threads.delete", thread_id=thread)
        assert len(await rows_of(chat, thread)) == 1


async def test_the_log_of_a_turn_tells_the_tokens_of_each_agent_and_model(configure):
    async with serving(configure(todos=True)) as chat:
        with capture_logs() as logs:
            await chat.create('call create_todo {"title": "milk"}')
            await until_idle(chat)
        [line] = [entry for entry in logs if entry["event"] == "turn"]
        [used] = line["usage"]
        assert (used["agent"], used["model"]) == ("helper", "openai/fake")
        assert used["input_tokens"] == line["input_tokens"] > 0
        assert used["output_tokens"] == line["output_tokens"] > 0
