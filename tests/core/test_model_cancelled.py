"""Hanging up reaches the model: its provider's connection is closed, and nothing is left behind."""

import asyncio
import contextlib
import gc
import time

import pytest

from tests.support.databases import store_tables
from tests.support.serving import answer_of, errors_of, is_delta, message, serving

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


UNDER_WAY = {"fake-n500-d10": 5, "fake-n500-s5": 5, "fake-f5000": 0}
"""Models that are in the middle of an answer, silent there, or have not begun, and how many words to wait for."""


@pytest.fixture(params=PROVIDERS)
def provider(request):
    """Every provider whose models are at an endpoint."""
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
async def normalize_messages(caplog):
    """Fail if anything is left behind: asyncio tells of tasks and connections that nobody ended."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60  # of nobody's concern here
    loose = []
    loop.set_exception_handler(lambda _loop, context: loose.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    loop.set_debug(False)
    assert loose == []
    assert [
        record for record in caplog.records if record.name == "asyncio" and record.levelname != "DEBUG"
    ] == []


async def until(condition, seconds=2.0):
    """Wait for something that happens soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def nothing_left(chat):
    """What is begun in here is over soon after."""
    before = asyncio.all_tasks()
    yield
    await until(lambda: len(chat.server.turns) == 0)
    # The client's own connection has tasks too; they end when the server has seen that it is gone.
    await until(lambda: not asyncio.all_tasks() - before)


async def check_goes_on(chat, thread):
    """The thread takes messages, and connections are not mixed up."""
    chat.server.assembly.default_agent.agent.model.model = "fake"
    for number in range(2):
        events = await chat.say(thread, f"echo: back {number}")
        assert not errors_of(events), events
        assert answer_of(events) == f"back {number}"


async def test_hanging_up_closes_the_providers_connection(tidy, configured, upstream):
    async with serving(configured("fake")) as chat:
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
                    hung_up = time.time()
                await until(lambda: upstream.state.open == 0, 1.0)
            assert upstream.state.aborted == place
            assert 0 <= upstream.state.last_abort_at - hung_up < 1.0
            answers = [answer.split()[:deltas] for answer in await chat.answers(thread)]
            assert answers == [[f"w{number}" for number in range(deltas)]] * bool(deltas)
            await check_goes_on(chat, thread)


async def test_hanging_up_ends_the_wait_for_another_try(tidy, configured, upstream):
    async with serving(configured("fake-e429-a5")) as chat:
        async with nothing_left(chat):
            async with chat.stream("threads.create", input=message("tell me")) as events:
                thread = (await anext(events))["thread"]["id"]
                await until(lambda: upstream.state.requests == 1)
                await asyncio.sleep(0.05)
                hung_up = time.monotonic()
            await until(lambda: len(chat.server.turns) == 0, 1.0)
        assert time.monotonic() - hung_up < 1.0
        assert upstream.state.requests == 1
        assert await chat.answers(thread) == []
        await check_goes_on(chat, thread)


async def test_hanging_up_on_a_provider_that_has_not_even_begun_to_answer(tidy, configured, upstream):
    asked, gone = asyncio.Event(), asyncio.Event()

    async def listen(reader, writer):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                asked.set()
        writer.close()
        gone.set()

    async with (
        await asyncio.start_server(listen, "127.0.0.1", 0) as mute,
        serving(configured("fake")) as chat,
    ):
        client = chat.server.assembly.default_agent.agent.model._client
        client.base_url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/v1/"
        async with chat.stream("threads.create", input=message("tell me")) as events:
            thread = (await anext(events))["thread"]["id"]
            await asyncio.wait_for(asked.wait(), 2.0)
            assert not gone.is_set()
        await asyncio.wait_for(gone.wait(), 1.0)
        await until(lambda: len(chat.server.turns) == 0)
        assert await chat.answers(thread) == []


@one_over_each_api
async def test_many_that_hang_up_at_once_leave_nothing_behind(tidy, configured, upstream):
    async with serving(configured("fake-n500-d10")) as chat:
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
    tidy, configured, upstream
):
    async with serving(configured("fake-n500-d10")) as chat:
        async with chat.stream("threads.create", input=message("tell me")) as events:
            async for event in events:
                if is_delta(event):
                    break
            await chat.server.turns.close()
            rest = [event async for event in events]
        [error] = errors_of(rest)
        assert error["allow_retry"] is True
        await until(lambda: upstream.state.aborted == 1)
