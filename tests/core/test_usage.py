"""Tokens are counted for each turn, agent and model, as far as the provider reports them."""

from sqlalchemy import select
from structlog.testing import capture_logs

from chatrack.sql.tables import usage
from tests.support.serving import is_delta, message, serving
from tests.support.waiting import until_idle


async def rows_of(chat, thread):
    async with chat.server.store.database.read() as connection:
        found = await connection.execute(select(usage).where(usage.c.thread_id == thread))
        return found.all()


async def test_a_turn_with_a_tool_notes_what_all_its_requests_used(configure):
    async with serving(configure()) as chat:
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


async def test_a_turn_that_was_cancelled_before_the_provider_told_has_no_counts(configure):
    async with serving(configure(model="fake-h5")) as chat:
        async with chat.stream("threads.create", input=message("hello")) as stream:
            events = [await anext(stream)]
            thread = events[0]["thread"]["id"]
            while not is_delta(events[-1]):
                events.append(await anext(stream))
        await until_idle(chat)
        [row] = await rows_of(chat, thread)
        assert row.requests == 1
        assert row.input_tokens is None
        assert row.output_tokens is None


async def test_usage_outlives_its_thread(configure):
    async with serving(configure()) as chat:
        thread, _ = await chat.create("hello")
        await chat.get("threads.delete", thread_id=thread)
        assert len(await rows_of(chat, thread)) == 1


async def test_the_log_of_a_turn_tells_the_tokens_of_each_agent_and_model(configure):
    async with serving(configure()) as chat:
        with capture_logs() as logs:
            await chat.create('call create_todo {"title": "milk"}')
        [line] = [entry for entry in logs if entry["event"] == "turn"]
        [used] = line["usage"]
        assert (used["agent"], used["model"]) == ("helper", "openai/fake")
        assert used["input_tokens"] == line["input_tokens"] > 0
        assert used["output_tokens"] == line["output_tokens"] > 0
