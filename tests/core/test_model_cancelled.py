"""Hanging up cancels the model: the connection to its provider is closed, and nothing leaks."""

import asyncio
import contextlib
import gc

import pytest

from tests.support.databases import store_tables
from tests.support.serving import answer_of, errors_of, is_delta, message, serving
from tests.support.waiting import until, until_idle, until_no_tasks

PROVIDERS = {
    "responses": (
        "openai_provider",
        "openai",
        '[plugins.openai_provider]\napi = "responses"\nbase_url = "{url}"',
    ),
    "chat_completions": (
        "openai_provider",
        "openai",
        '[plugins.openai_provider]\napi = "chat_completions"\nbase_url = "{url}"',
    ),
    "gemini": ("gemini_provider", "gemini", '[plugins.gemini_provider]\nbase_url = "{root}/v1beta/openai/"'),
    "compatible": (
        "compatible_provider",
        "there",
        '[plugins.compatible_provider.endpoints.there]\nbase_url = "{url}"',
    ),
}


UNDER_WAY = {"fake-n90000-d20": 5, "fake-s5": 5, "fake-h0": 0}
"""Models that are in the middle of an answer, silent there, or have not begun, and how many words to wait for."""

PATIENT = {"idle_timeout": 600, "first_token_timeout": 600}
"""Settings of a provider with which only a hang-up ends an answer of those."""


@pytest.fixture(params=PROVIDERS)
def provider(request):
    """Every provider that connects to an endpoint."""
    return request.param


one_over_each_api = pytest.mark.parametrize("provider", ["responses", "gemini"])


@pytest.fixture
def configured(write_config, upstream, kind, store_url, provider):
    """Write a config whose model is that provider's."""

    def write(model, **settings):
        plugin, name, table = PROVIDERS[provider]
        lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
        return write_config(f"""
enabled = ["sqlite_store", "{plugin}"]
[chat]
agent = "helper"
model = "{name}/{model}"
[agents.helper]
instructions = "You help."
{store_tables(kind, store_url)}
{table.format(url=upstream.url, root=upstream.url.removesuffix("/v1"))}
api_key = "sk-test"
{lines}
""")

    return write


@pytest.fixture
async def no_leaks(caplog):
    """Fail if tasks or connections leak: asyncio reports those that nobody closed, once they are garbage."""
    unhandled = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    gc.freeze()  # what is there now need not be looked at again
    yield
    gc.collect()
    gc.unfreeze()
    await asyncio.sleep(0)
    assert unhandled == []
    assert [
        record for record in caplog.records if record.name == "asyncio" and record.levelname != "DEBUG"
    ] == []


@contextlib.asynccontextmanager
async def nothing_left(chat):
    """Wait in the end until the turns and tasks that were begun inside are over."""
    before = asyncio.all_tasks()
    yield
    await until_idle(chat)
    # The client's own connection has tasks too; they end when the server has seen that it is gone.
    await until_no_tasks(before)


async def check_goes_on(chat, thread):
    """Check that the thread accepts messages, and that connections are not mixed up."""
    chat.server.assembly.default_agent.agent.model.model = "fake"
    for number in range(2):
        events = await chat.say(thread, f"echo: back {number}")
        assert not errors_of(events), events
        assert answer_of(events) == f"back {number}"


async def test_hanging_up_closes_the_providers_connection(no_leaks, configured, upstream):
    async with serving(configured("fake", **PATIENT)) as chat:
        await chat.create("echo: warm")  # what is made once is there
        for place, (model, deltas) in enumerate(UNDER_WAY.items(), 1):
            chat.server.assembly.default_agent.agent.model.model = model
            async with nothing_left(chat):
                async with chat.stream("threads.create", input=message("tell me")) as events:
                    thread = (await anext(events))["thread"]["id"]
                    seen = 0
                    while seen < deltas:
                        seen += is_delta(await anext(events))
                    await until(lambda: upstream.state.open == 1)
                await until(lambda: upstream.state.open == 0)
            assert upstream.state.aborted == place
            answers = [answer.split()[:deltas] for answer in await chat.answers(thread)]
            assert answers == [[f"w{number}" for number in range(deltas)]] * bool(deltas)
            await check_goes_on(chat, thread)


async def test_hanging_up_ends_the_wait_for_another_try(no_leaks, configured, upstream):
    async with serving(configured("fake-e429-a25")) as chat:
        async with nothing_left(chat):
            async with chat.stream("threads.create", input=message("tell me")) as events:
                thread = (await anext(events))["thread"]["id"]
                await until(lambda: upstream.state.requests == 1)
                await asyncio.sleep(0.05)
            await until_idle(chat)
        assert upstream.state.requests == 1  # the wait was cut short: there was no second try
        assert await chat.answers(thread) == []
        await check_goes_on(chat, thread)


async def test_hanging_up_on_a_provider_that_has_not_even_begun_to_answer(no_leaks, configured, upstream):
    asked, gone = asyncio.Event(), asyncio.Event()

    async def listen(reader, writer):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                asked.set()
        writer.close()
        gone.set()

    async with (
        await asyncio.start_server(listen, "127.0.0.1", 0) as mute,
        serving(configured("fake", **PATIENT)) as chat,
    ):
        client = chat.server.assembly.default_agent.agent.model._client
        client.base_url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/v1/"
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
            await until(asked.is_set)
            assert not gone.is_set()
        await until(gone.is_set)
        await until_idle(chat)
        assert await chat.answers(thread) == []


@one_over_each_api
async def test_many_that_hang_up_at_once_leave_nothing_behind(no_leaks, configured, upstream):
    async with serving(configured("fake-n90000-d20")) as chat:
        await chat.create("echo: warm")

        async def hang_up(after):
            async with chat.stream("threads.create", input=message("tell me")) as events:
                seen = 0
                async for event in events:
                    seen += is_delta(event)
                    if seen >= after:
                        return

        async with nothing_left(chat):
            await asyncio.gather(*(hang_up(number % 5) for number in range(20)))
        await until(lambda: upstream.state.open == 0)
        assert upstream.state.started - 1 == upstream.state.aborted


@one_over_each_api
async def test_closing_the_server_in_the_middle_of_an_answer_leaves_nothing_behind(
    no_leaks, configured, upstream
):
    async with serving(configured("fake-n90000-d20")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if is_delta(event):
                    break
            await chat.server.turns.close()
            rest = [event async for event in events]
        [error] = errors_of(rest)
        assert error["allow_retry"] is True
        await until(lambda: upstream.state.aborted == 1)
