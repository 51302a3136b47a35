"""Failures of models, as users and operators see them: a sentence, the partial text, and a line in the log."""

import asyncio
import contextlib
import io
import itertools
import json
import logging
import socket
import time
from typing import NamedTuple

import pytest
import pytest_asyncio
import structlog
from sqlalchemy import text as sql

from chatrack import logs
from chatrack.models.limits import Limits
from tests.conftest import openai_config
from tests.fake_openai import app as upstream_app
from tests.fake_openai import serve as serve_upstream
from tests.fake_openai.behaviour import decide
from tests.fake_openai.refusal import server_error
from tests.support import recording_tools
from tests.support.client import deltas_of, words
from tests.support.clock import advance, run_what_is_ready
from tests.support.plugins import installed_site
from tests.support.serving import answer_of, errors_of, is_delta, message, serving, text_of
from tests.support.waiting import until

KEY = "sk-test-0123456789-abcd"
WRONG_KEY = "sk-test-0123456789-wrong"

PROVIDERS_WORDS = (
    "sk-test",
    "-abcd",
    "*rong",
    "Incorrect API key",
    "API key not valid",
    "Country, region",
    "current quota",
    "org-fake",
    "Rate limit reached",
    "had an error while processing",
    "currently overloaded",
    "exceeds the context window",
    "maximum context length",
    "token count",
    "do not have access",
    "response.failed",
)
"""The key, and what the fake says in its errors: neither is for users, logs or stores."""


class Case(NamedTuple):
    """A model, and how its answer fails.

    Args:
        model: its name.
        fault: what the log calls it.
        sentence: the beginning of what the user reads.
        again: whether trying again may help.
        limits: how long it may take.
        status: the HTTP status, if it was the provider that refused.
        shown: how many words were shown before.
        level: how loud the log says so.
        request: whether the log names the provider's request.
    """

    model: str
    fault: str
    sentence: str
    again: bool
    limits: Limits = Limits()
    status: int | None = None
    shown: int = 0
    level: str = "error"
    request: bool = True


KEY_REFUSED = "The model provider did not accept this server's key."
BUSY = "The model is busy right now. Please try again in "
AWAY = "The model provider cannot answer right now."
SLOW = "The model did not begin to answer in time."
STALLED = "The model stopped in the middle of its answer."
BROKEN = "The answer broke off on its way here."
FILTERED = "The model provider's content filter stopped this answer."

REFUSED = {
    "forbidden": Case("fake-e403", "authentication", KEY_REFUSED, False, status=403),
    "quota": Case(
        "fake-quota", "quota", "This server's account with the model provider is used up.", False, status=429
    ),
    "busy": Case("fake-e429-a7", "rate_limited", f"{BUSY}7 seconds.", True, status=429),
    "busy for a second": Case("fake-e429-a1", "rate_limited", f"{BUSY}1 second.", True, status=429),
    "busy, who knows how long": Case("fake-e429-a0", "rate_limited", f"{BUSY}a moment.", True, status=429),
    "error": Case("fake-e500", "unavailable", AWAY, True, status=500),
    "overloaded": Case("fake-e503", "unavailable", AWAY, True, status=503),
    "conflict": Case("fake-e409", "unavailable", AWAY, True, status=409),
    "unprocessable": Case(
        "fake-e422", "rejected", "The model provider did not accept the request.", False, status=422
    ),
    "unknown model": Case(
        "no-such-model", "unknown_model", "This model is not available.", False, status=404
    ),
    "too long": Case(
        "fake-e400",
        "context_length_exceeded",
        "This is too long for the model.",
        False,
        status=400,
        level="warning",
    ),
}

BROKEN_OFF = {
    "malformed": Case("fake-n50-b20", "broken", BROKEN, True, shown=20),
    "malformed, in one read": Case("fake-n50-k50-b20", "broken", BROKEN, True, shown=20),
    "cut": Case("fake-n50-x20", "broken", BROKEN, True, shown=20),
    "cut, in one read": Case("fake-n50-k20-x20", "broken", BROKEN, True, shown=20),
    "cut at once": Case("fake-n50-x0", "broken", BROKEN, True),
    "reset": Case("fake-n50-z20", "broken", BROKEN, True, shown=20),
    "reset, in one read": Case("fake-n50-k20-z20", "broken", BROKEN, True, shown=20),
    "failed": Case("fake-n50-v20", "unavailable", AWAY, True, shown=20),
    "failed, in one read": Case("fake-n50-k50-v20", "unavailable", AWAY, True, shown=20),
    "failed at once": Case("fake-n50-v0", "unavailable", AWAY, True),
    "error": Case("fake-n50-w20", "unavailable", AWAY, True, shown=20),
    "error, in one read": Case("fake-n50-k50-w20", "unavailable", AWAY, True, shown=20),
    "filtered": Case("fake-n20-filter", "filtered", FILTERED, False, shown=20, level="warning"),
    "filtered, in one read": Case(
        "fake-n20-k20-filter", "filtered", FILTERED, False, shown=20, level="warning"
    ),
    "filtered at once": Case("fake-n0-filter", "filtered", FILTERED, False, level="warning"),
    "too long an answer": Case(
        "fake-n20-length",
        "max_output_tokens",
        "The answer reached the greatest length",
        False,
        shown=20,
        level="warning",
    ),
    "refusal": Case(
        "fake-n20-refuse",
        "refused",
        "The model declined to answer.",
        False,
        shown=20,
        level="warning",
        request=False,
    ),
}


PATIENT = {"total": 600.0, "first_token": 600.0, "idle": 600.0}

LATE = {
    "silent from the start": Case(
        "fake-f600000", "first_token_timeout", SLOW, True, Limits(**PATIENT | {"first_token": 20})
    ),
    "silent from the first word on": Case(
        "fake-s0", "first_token_timeout", SLOW, True, Limits(**PATIENT | {"first_token": 20})
    ),
    "silent": Case("fake-n50-s20", "idle_timeout", STALLED, True, Limits(**PATIENT | {"idle": 20}), shown=20),
    "silent, in one read": Case(
        "fake-n50-k20-s20", "idle_timeout", STALLED, True, Limits(**PATIENT | {"idle": 20}), shown=20
    ),
    "endless": Case(
        "fake-n90000-k20-d50", "idle_timeout", STALLED, True, Limits(**PATIENT | {"total": 20}), shown=-1
    ),
}
"""What takes longer than 20 seconds, by the event loop's clock."""


@pytest.fixture
def log(caplog):
    """A function that returns what the server has logged, at level debug."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in list(root.manager.loggerDict)}
    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        logs.configure("debug", "json")
    root.addHandler(caplog.handler)
    yield lambda: written.getvalue() + caplog.text
    structlog.configure(**before)
    root.handlers, root.level = handlers, level
    for name, number in levels.items():
        logger = logging.getLogger(name)
        if logger.level != number:  # setting it clears the caches of all loggers
            logger.setLevel(number)


def lines(log):
    """Return the events of the server's log."""
    return [json.loads(line) for line in log().splitlines() if line.startswith("{")]


def failures(log):
    return [line for line in lines(log) if line["event"] == "model failed"]


@pytest.fixture
def ask(configure, api, log):
    """Serve a model under a key that is known here."""

    def ask_model(model, limits="max_retries = 0", *, key=KEY, url=None, **options):
        options = {"tools": "[]", **options}
        path = configure(api=api, model=model, extra=limits, **options)
        config = path.read_text(encoding="utf-8").replace('"sk-test"', f'"{key}"')
        if url is not None:
            start = config.index('base_url = "')
            config = f'{config[:start]}base_url = "{url}"{config[config.index(chr(10), start) :]}'
        path.write_text(config, encoding="utf-8")
        return serving(path)

    return ask_model


def become(chat, model):
    """Replace the agent's model."""
    chat.server.assembly.default_agent.agent.model.model = model


async def stored(chat):
    """Return all rows of the store as text, hidden items included."""
    async with chat.server.store.database.read() as connection:
        rows = (await connection.execute(sql("SELECT * FROM chatrack_items"))).all()
        rows += (await connection.execute(sql("SELECT * FROM chatrack_threads"))).all()
    return str(rows)


async def check_failed(chat, case, thread, events, log):
    """Check what the client, the store and the log say of a failure."""
    [error] = errors_of(events)
    assert events[-1] == error
    assert error["code"] == "custom"
    assert error["message"].startswith(case.sentence)
    assert error["allow_retry"] is case.again

    seen = deltas_of(events)
    if case.shown >= 0:
        assert seen == words(case.shown)
    else:
        assert len(seen) > 10
    items = await chat.items(thread)
    assert [text_of(item) for item in items if item["type"] == "assistant_message"] == [seen] * bool(seen)
    last = {event["item"]["id"]: event["item"] for event in events if event["type"] == "thread.item.done"}
    assert list(last.values()) == items

    [line] = failures(log)
    assert line["level"] == case.level
    assert line["fault"] == case.fault
    assert line["model"].startswith("openai/")
    assert line.get("status") == case.status
    assert ("provider_request_id" in line) == case.request
    assert line["thread"] == thread
    told = [json.dumps(events, ensure_ascii=False), json.dumps(items), await stored(chat), log()]
    for word, place in itertools.product(PROVIDERS_WORDS, told):
        assert word not in place

    become(chat, "fake")
    events = await chat.say(thread, "history?")
    assert not errors_of(events)
    history = answer_of(events)
    assert "failed before it was complete" in history
    assert (seen.strip() or "user:tell me") in history


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upstream():
    """The upstream of `anything`."""
    async with serve_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["responses", "chat_completions"])
async def anything(request, tmp_path_factory, shared_upstream):
    """A server that many tests share; each chooses its model."""
    shared_upstream.state.reset()
    folder = tmp_path_factory.mktemp("anything")
    store = f"[plugins.sqlite_store]\npath = {json.dumps(str(folder / 'chat.db'))}"
    config = openai_config(
        shared_upstream.url, api=request.param, store=store, tools="[]", extra="max_retries = 0"
    )
    path = folder / "config.toml"
    path.write_text(config.replace('"sk-test"', f'"{KEY}"'), encoding="utf-8")
    async with serving(path) as chat:
        yield chat


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_model_that_does_not_begin_to_answer(anything, log, case):
    become(anything, case.model)
    thread, events = await anything.create("tell me")
    await check_failed(anything, case, thread, events, log)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", BROKEN_OFF.values(), ids=BROKEN_OFF)
async def test_nothing_that_was_said_before_a_failure_is_lost(anything, log, case):
    become(anything, case.model)
    thread, events = await anything.create("tell me")
    await check_failed(anything, case, thread, events, log)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", LATE.values(), ids=LATE)
async def test_a_model_that_takes_longer_than_it_may(anything, shared_upstream, log, case):
    become(anything, case.model)
    events = []

    async def read():
        async with anything.stream("threads.create", input=message("tell me")) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401  (they are looked at while they come)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(anything.server.assembly.default_agent.agent.model._client, "limits", case.limits)
        reading = asyncio.create_task(read())
        await until(lambda: shared_upstream.state.open == 1)
        await until(lambda: sum(map(is_delta, events)) >= abs(case.shown))
        await run_what_is_ready()
        assert not errors_of(events)
        advance(21)
        await reading
    await check_failed(anything, case, events[0]["thread"]["id"], events, log)


async def test_how_long_a_model_may_take_is_the_operators_to_say(ask):
    limits = "timeout = 3.5\nfirst_token_timeout = 1.5\nidle_timeout = 2.5\nmax_retries = 7"
    async with ask("fake", limits) as chat:
        client = chat.server.assembly.default_agent.agent.model._client
        assert client.limits == Limits(total=3.5, first_token=1.5, idle=2.5)
        assert client.retries == 7


async def test_a_wrong_key(ask, log):
    case = Case("fake", "authentication", KEY_REFUSED, False, status=401)
    async with ask("fake", key=WRONG_KEY) as chat:
        thread, events = await chat.create("tell me")
        [error] = errors_of(events)
        assert error["message"].startswith(case.sentence)
        assert error["allow_retry"] is False
        chat.server.assembly.default_agent.agent.model._client.api_key = KEY
        await check_failed(chat, case, thread, events, log)


@contextlib.contextmanager
def nowhere():
    """Yield a base URL whose port is closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@contextlib.asynccontextmanager
async def mute(*, hangs_up=False):
    """Yield the base URL of a server that never answers, and a list of its connections."""
    taken = []

    async def listen(_reader, writer):
        taken.append(writer)
        if hangs_up:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", taken
    finally:
        server.close()
        for writer in taken:
            writer.close()
        await server.wait_closed()


async def test_a_provider_where_nobody_listens(ask, log, upstream):
    case = Case("fake", "unavailable", AWAY, True, request=False)
    with nowhere() as url:
        async with ask("fake", "max_retries = 1", url=url) as chat:
            thread, events = await chat.create("tell me")
            assert [line["event"] for line in lines(log)].count("retrying model request") == 1
            chat.server.assembly.default_agent.agent.model._client.base_url = upstream.url
            await check_failed(chat, case, thread, events, log)


@pytest.mark.parametrize(
    ("hangs_up", "fault", "sentence"),
    [(False, "first_token_timeout", SLOW), (True, "unavailable", AWAY)],
)
async def test_a_provider_that_takes_the_call_and_says_nothing(ask, log, upstream, hangs_up, fault, sentence):
    case = Case("fake", fault, sentence, True, request=False)
    async with (
        mute(hangs_up=hangs_up) as (url, taken),
        ask("fake", "first_token_timeout = 20\nmax_retries = 0", url=url) as chat,
    ):
        asking = asyncio.create_task(chat.create("tell me"))
        await until(lambda: taken)
        await run_what_is_ready()
        if not hangs_up:
            advance(21)
        thread, events = await asking
        assert len(taken) == 1
        chat.server.assembly.default_agent.agent.model._client.base_url = upstream.url
        await check_failed(chat, case, thread, events, log)


@pytest.mark.parametrize("api", ["chat_completions"])
@pytest.mark.parametrize(
    ("model", "key", "fault", "status"),
    [
        ("fake", WRONG_KEY, "authentication", 400),
        ("fake-e403", KEY, "authentication", 403),
        ("fake-quota", KEY, "quota", 429),
        ("fake-e429-a0", KEY, "rate_limited", 429),
        ("fake-e503-a0", KEY, "unavailable", 503),
        ("fake-i100", KEY, "context_length_exceeded", 400),
        ("no-such-model", KEY, "unknown_model", 404),
    ],
)
async def test_gemini_has_words_of_its_own_for_all_of_this(ask, upstream, log, model, key, fault, status):
    gemini = upstream.url.replace("/v1", "/v1beta/openai/")
    async with ask(model, key=key, url=gemini) as chat:
        _, events = await chat.create("tell me " + "more " * 100)
        [line] = failures(log)
        assert (line["fault"], line["status"]) == (fault, status)
        assert line["provider_request_id"].startswith("req_")
        assert len(errors_of(events)) == 1
        for word, place in itertools.product(PROVIDERS_WORDS, [json.dumps(events), log()]):
            assert word not in place


# -- trying again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "model", "least", "most"),
    [
        ("responses", "fake-e429-t1", 1.0, 1.0),
        ("chat_completions", "fake-e429-a0-t2", 0.0, 0.75),  # "0" says nothing: the client's own pauses
        ("chat_completions", "fake-e503-a0-t1", 0.0, 0.75),
        ("responses", "fake-e500-t1", 0.3, 0.5),
    ],
)
async def test_what_was_refused_for_the_moment_is_asked_again(ask, log, upstream, model, least, most):
    async with ask(model, "") as chat:
        began = time.monotonic()
        _, events = await chat.create("tell me")
        assert time.monotonic() - began >= least
        assert not errors_of(events)
        assert answer_of(events) == words(8)
    refusals = 2 if model.endswith("t2") else 1
    assert upstream.state.requests == refusals + 1
    again = [line for line in lines(log) if line["event"] == "retrying model request"]
    assert len(again) == refusals
    assert all(line["provider_request_id"].startswith("req_") and line["status"] >= 429 for line in again)
    assert all(least <= line["delay_seconds"] <= most for line in again)
    assert not failures(log)
    assert not any(word in log() for word in PROVIDERS_WORDS)


@pytest.mark.parametrize(
    ("api", "model", "limits", "requests", "sentence"),
    [
        ("responses", "fake-e429-a0", "max_retries = 2", 3, f"{BUSY}a moment."),
        ("chat_completions", "fake-e500", "max_retries = 1", 2, AWAY),
        # longer than anybody waits, and longer than the operator allows
        ("chat_completions", "fake-e429-a31", "", 1, f"{BUSY}31 seconds."),
        ("responses", "fake-e429-a25", "first_token_timeout = 20", 1, f"{BUSY}25 seconds."),
        # of no use
        ("responses", "fake-quota", "", 1, "This server's account"),
        ("chat_completions", "fake-e403", "", 1, KEY_REFUSED),
    ],
)
async def test_asking_again_has_an_end(ask, upstream, model, limits, requests, sentence):
    async with ask(model, limits) as chat:
        _, events = await chat.create("tell me")
        [error] = errors_of(events)
        assert error["message"].startswith(sentence)
        assert upstream.state.requests == requests


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("model", ["fake-e500-t1", "fake-n20-x5-t1", "fake-n20-v5-t1", "fake-n20-b5-t1"])
async def test_a_retry_works_when_the_provider_has_recovered(anything, model):
    chat = anything
    become(chat, model)
    thread, events = await chat.create("tell me")
    assert errors_of(events)[0]["allow_retry"] is True
    before = await chat.items(thread)
    events = await chat.events("threads.retry_after_item", thread_id=thread, item_id=before[0]["id"])
    assert not errors_of(events)
    removed = [event["item_id"] for event in events if event["type"] == "thread.item.removed"]
    assert removed == [item["id"] for item in before[1:]]
    answer = words(8) if model.startswith("fake-e") else words(20)
    assert await chat.answers(thread) == [answer]
    become(chat, "fake")
    assert answer_of(await chat.say(thread, "history?")) == (
        f"user:tell me | assistant:{answer.strip()} | user:history?"
    )


# -- a conversation that is too long ----------------------------------------------------------------------


async def test_a_history_that_is_too_long_is_shortened_and_asked_once_more(ask, upstream, log):
    async with ask("fake") as chat:
        thread, _ = await chat.create("echo: 0" + "b" * 600)
        for number in range(1, 5):
            await chat.say(thread, f"echo: {number}" + "b" * 600)
        become(chat, "fake-i1300")
        before = upstream.state.requests
        events = await chat.say(thread, "echo: still here")
        assert not errors_of(events)
        assert answer_of(events) == "still here"
        assert upstream.state.requests == before + 2
        asked = [json.dumps(request["body"]) for request in upstream.state.log]
        assert all(f"echo: {number}b" in asked[-2] for number in range(5))
        assert [number for number in range(5) if f"echo: {number}b" in asked[-1]] == [3, 4]
        assert [line["event"] for line in lines(log)].count("history shortened: too long for the model") == 1
        assert not failures(log)
        # What was dropped stays dropped, and the user still sees all of it.
        before = upstream.state.requests
        assert not errors_of(await chat.say(thread, "echo: short"))
        assert upstream.state.requests == before + 1
        assert len(await chat.answers(thread)) == 7


async def test_a_message_that_is_too_long_by_itself(ask, upstream, log):
    case = Case(
        "fake",
        "context_length_exceeded",
        "This is too long for the model.",
        False,
        status=400,
        level="warning",
    )
    async with ask("fake-i1000") as chat:
        thread, events = await chat.create("tell me " + "b" * 5000)
        assert upstream.state.requests == 1
        # The next one leaves it out, with the same model.
        assert answer_of(await chat.say(thread, "echo: shorter")) == "shorter"
        [error] = errors_of(events)
        assert error["message"].startswith(case.sentence)
        assert error["allow_retry"] is False
        [line] = failures(log)
        assert line["level"] == "warning"
        assert line["provider_request_id"].startswith("req_")
        assert not any(word in log() for word in PROVIDERS_WORDS)


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """The plugin `notes`, whose tools record that they ran: the options that enable it, and its site."""
    with installed_site(tmp_path / "site", monkeypatch) as site:
        recording_tools.install(site)
        yield {"enabled": '["sqlite_store", "openai_provider", "notes"]', "tools": '["notes.*"]'}, site


@pytest.mark.parametrize("turns", [0, 4])
async def test_a_result_that_is_too_long_does_not_make_its_tool_run_twice(ask, notes, log, turns):
    options, site = notes
    async with ask("fake", **options) as chat:
        thread, _ = await chat.create("echo: hello")
        for number in range(turns):
            await chat.say(thread, f"echo: {number}" + "b" * 600)
        become(chat, "fake-i2000")
        length = 3000 if turns else 9000
        events = await chat.say(thread, f'call recite {{"length": {length}}}')
        assert recording_tools.ran(site) == [("recite", length)]
        if turns:
            assert not errors_of(events)
            assert answer_of(events) == "Tool said: " + "r" * 3000
            assert not failures(log)
        else:
            [error] = errors_of(events)
            assert error["message"].startswith("This is too long for the model.")
            assert error["allow_retry"] is False
        tasks = [item["workflow"]["tasks"] for item in await chat.items(thread) if item["type"] == "workflow"]
        assert [[task["status_indicator"] for task in of_workflow] for of_workflow in tasks] == [["complete"]]
        become(chat, "fake")
        events = await chat.say(thread, "history?")
        assert not errors_of(events)
        assert answer_of(events).count("call:recite") == 1
        assert answer_of(events).count("output:rrr") == 1


# -- tools -------------------------------------------------------------------------------------------------


async def test_a_model_that_goes_in_circles_is_stopped(ask, notes, log, upstream):
    options, site = notes
    async with ask("fake-loop", **{**options, "tools": '["notes.note"]\nmax_turns = 3'}) as chat:
        thread, events = await chat.create("tell me")
        [error] = errors_of(events)
        assert error["message"].startswith("The assistant used its tools again and again and was stopped.")
        assert error["allow_retry"] is True
        assert upstream.state.requests == 3
        assert recording_tools.ran(site) == [("note", "x")] * 3
        [line] = failures(log)
        assert (line["fault"], line["model"]) == ("max_turns_exceeded", "openai/fake-loop")
        [workflow] = [item for item in await chat.items(thread) if item["type"] == "workflow"]
        assert [task["status_indicator"] for task in workflow["workflow"]["tasks"]] == ["complete"] * 3
        become(chat, "fake")
        events = await chat.say(thread, "history?")
        assert not errors_of(events)
        assert answer_of(events).count("output:noted x") == 3


async def test_a_tool_that_does_not_exist_is_told_to_the_model(ask, notes, monkeypatch):
    def imagining(turns, tools, *rest):
        return decide(turns, {**tools, "imagined": {}}, *rest)

    monkeypatch.setattr(upstream_app, "decide", imagining)
    options, site = notes
    async with ask("fake", **options) as chat:
        thread, events = await chat.create('call imagined {"text": "a"}\ncall note {"text": "b"}')
        assert not errors_of(events)
        answer = answer_of(events)
        assert answer.startswith("Tool said: ")
        assert "imagined" in answer
        assert "noted b" in answer
        assert recording_tools.ran(site) == [("note", "b")]
        for _ in range(2):
            events = await chat.say(thread, "history?")
            assert not errors_of(events)
            assert "call:imagined" in answer_of(events)
        for item in await chat.items(thread):
            if item["type"] == "workflow":
                assert {task["status_indicator"] for task in item["workflow"]["tasks"]} == {"complete"}


async def test_a_failure_after_a_tool_ran_keeps_what_it_gave(ask, notes, monkeypatch):
    def failing(turns, *rest):
        if turns[-1].kind == "output":
            raise server_error()
        return decide(turns, *rest)

    options, site = notes
    async with ask("fake", **options) as chat:
        with monkeypatch.context() as patched:
            patched.setattr(upstream_app, "decide", failing)
            thread, events = await chat.create('call note {"text": "this"}')
        [error] = errors_of(events)
        assert error["message"].startswith(AWAY)
        assert recording_tools.ran(site) == [("note", "this")]
        [workflow] = [item for item in await chat.items(thread) if item["type"] == "workflow"]
        assert [task["status_indicator"] for task in workflow["workflow"]["tasks"]] == ["complete"]
        events = await chat.say(thread, "history?")
        assert not errors_of(events)
        assert 'call:note({"text": "this"}) | output:noted this' in answer_of(events)
