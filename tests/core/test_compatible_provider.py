"""`[plugins.compatible_provider]`: endpoints by name, what each may say, and what is sent to it."""

import asyncio
import json
import re

import agents
import pytest
from agents import Runner

from chatrack.assembly import assemble, running
from chatrack.errors import StartupError
from tests.support.commands import mistake_of, run
from tests.support.serving import answer_of, errors_of, serving

pytestmark = pytest.mark.usefixtures("made_tables")

SECRET = "tok-never-to-be-seen"

QUIET = agents.RunConfig(tracing_disabled=True)

ENABLED = '["sqlite_store", "demo_provider", "openai_provider", "compatible_provider"]'


@pytest.fixture
def configured(write_config):
    """Write a config with endpoints: tables by name."""

    def configured_with(model="mine/fake", **endpoints):
        tables = "".join(
            f"[plugins.compatible_provider.endpoints.{name}]\n{table}\n" for name, table in endpoints.items()
        )
        return write_config(f'enabled = {ENABLED}\n[chat]\nmodel = "{model}"\n{tables}')

    return configured_with


def mistakes(path):
    with pytest.raises(StartupError) as caught:
        assemble(path, environ={})
    return caught.value.lines


async def said_by(assembly, name, text="echo: hi"):
    agent = agents.Agent(name="a", model=assembly.create_model(name))
    result = Runner.run_streamed(agent, text, run_config=QUIET)
    async for _event in result.stream_events():
        pass
    return result.final_output


# -- what is sent --------------------------------------------------------------------------------------------


async def test_several_endpoints_are_told_apart_by_their_names(configured, upstream):
    path = configured(
        one=f'base_url = "{upstream.url}"\ndefault_model = "fake-one"\nheaders = {{ x-which = "one" }}',
        two=f'base_url = "{upstream.url}"\napi = "responses"\napi_key = "sk-two"\nheaders = {{ x-which = "two" }}',
        model="one",
    )
    assembly = assemble(path, environ={})
    assert assembly.default_agent.model == "one/fake-one"
    async with running(assembly):
        assert await said_by(assembly, "one") == "hi"
        assert await said_by(assembly, "two/fake-two") == "hi"
    sent = [
        (request["path"], request["headers"]["x-which"], request["body"]["model"])
        for request in upstream.state.log
    ]
    assert sent == [("/v1/chat/completions", "one", "fake-one"), ("/v1/responses", "two", "fake-two")]


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_the_server_talks_to_an_endpoint_that_wants_no_key(configured, upstream, api):
    async with serving(configured(mine=f'base_url = "{upstream.url}"\napi = "{api}"')) as chat:
        thread, events = await chat.create("echo: hello there")
        assert answer_of(events) == "hello there"
        assert "hello there" in answer_of(await chat.say(thread, "history?"))


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ("", {"include_usage": True}),
        ("include_usage = true", {"include_usage": True}),
        ("include_usage = false", None),
    ],
)
async def test_the_count_of_tokens_is_asked_for_unless_the_endpoint_refuses_it(
    configured, upstream, setting, sent
):
    assembly = assemble(configured(mine=f'base_url = "{upstream.url}"\n{setting}'), environ={})
    async with running(assembly):
        assert await said_by(assembly, "mine/fake") == "hi"
    assert upstream.state.log[-1]["body"].get("stream_options") == sent


async def test_headers_are_sent_and_not_shown(configured, upstream):
    path = configured(
        mine=f'base_url = "{upstream.url}"\nheaders = {{ x-token = "{SECRET}", x-other = {{ env = "OTHER" }} }}'
    )
    assembly = assemble(path, environ={"OTHER": f"{SECRET} too"})
    async with running(assembly):
        await said_by(assembly, None)
    headers = upstream.state.log[-1]["headers"]
    assert (headers["x-token"], headers["x-other"]) == (SECRET, f"{SECRET} too")
    provider = assembly.models.providers["mine"]
    shown = f"{provider.endpoint!r} {provider!r} {provider.client()!r}"
    assert SECRET not in shown


async def test_there_is_one_client_for_all_models_of_an_endpoint(configured, upstream):
    provider = assemble(configured(mine=f'base_url = "{upstream.url}"'), environ={}).models.providers["mine"]
    client = provider.client()
    for name in ("fake", "fake-other"):
        provider.get_model(name)
    assert provider.client() is client
    async with provider.open():
        pass
    assert client.is_closed()


async def test_what_was_said_before_a_call_is_sent_back_with_it(write_config):
    """The fake upstream has no answer with both text and a call; this server sends one."""
    requests = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE).group(1))
        requests.append(json.loads(await reader.readexactly(length))["messages"])
        call = {"index": 0, "id": "call_1", "function": {"name": "list_todos", "arguments": "{}"}}
        deltas = [{"content": "I will "}, {"content": "look."}]
        if not any(message["role"] == "tool" for message in requests[-1]):
            deltas.append({"tool_calls": [call]})
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        lines = "".join(f"data: {json.dumps({**head, **chunk})}\n\n" for chunk in chunks)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        writer.write(f"{lines}data: [DONE]\n\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    path = write_config(f"""
enabled = ["sqlite_store", "compatible_provider", "todo_tools"]
[chat]
agent = "helper"
model = "mine/any"
[agents.helper]
instructions = "You help."
tools = ["todo_tools.*"]
[plugins.compatible_provider.endpoints.mine]
base_url = "http://127.0.0.1:{port}/v1"
""")
    async with server, serving(path) as chat:
        _, events = await chat.create("What is on my list?")
    assert errors_of(events) == []
    said, result = requests[1][-2:]
    assert (said["content"], said["tool_calls"][0]["id"]) == ("I will look.", "call_1")
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_1")


# -- mistakes --------------------------------------------------------------------------------------------------


def test_no_endpoint_is_no_mistake(configured):
    assert assemble(configured(model="demo"), environ={}).default_agent.model == "demo"


def test_a_missing_address_is_named_by_its_key(configured):
    path = configured(mine='api_key = "x"', other="timeout = 5")
    lines = mistakes(path)
    for name in ("mine", "other"):
        key = f"plugins.compatible_provider.endpoints.{name}.base_url"
        assert [key in line for line in lines].count(True) == 1, lines
    assert all("config.toml" in line for line in lines)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('bass_url = "x"', "bass_url"),
        ('api = "completions"', "api"),
        ("timeout = 0", "timeout"),
        ("idle_timeout = -1", "idle_timeout"),
        ("max_retries = 11", "max_retries"),
        ("headers = { x-a = 1 }", "headers"),
        ("include_usage = 1", "include_usage"),
        ("base_url = 7", "base_url"),
    ],
)
def test_a_setting_that_is_wrong_is_named_by_its_key(configured, table, key):
    head = "" if key == "base_url" else 'base_url = "http://localhost:1/v1"\n'
    (line,) = mistakes(configured(mine=f"{head}{table}"))
    assert "config.toml" in line
    assert f"plugins.compatible_provider.endpoints.mine.{key}" in line


def test_a_secret_in_a_wrong_place_is_not_shown(configured):
    (line,) = mistakes(configured(mine=f'base_url = "http://localhost:1/v1"\nheaders = "{SECRET}"'))
    assert "plugins.compatible_provider.endpoints.mine.headers" in line
    assert SECRET not in line


@pytest.mark.parametrize("name", ["a/b", "a b", "", "-a", "ä"])
def test_a_name_that_cannot_stand_before_a_slash_is_refused(configured, name):
    path = configured(**{f'"{name}"': 'base_url = "http://localhost:1/v1"'}, model="demo")
    (line,) = mistakes(path)
    assert "compatible_provider" in line
    assert f'"{name}"' in line


@pytest.mark.parametrize("name", ["openai", "demo"])
def test_a_name_that_another_provider_has_is_refused(configured, name):
    url = 'base_url = "http://localhost:1/v1"'
    (line,) = mistakes(configured(**{name: url, "other": url}, model="other/fake"))
    assert f'"{name}"' in line
    assert "compatible_provider" in line
    assert f"{name}_provider" in line


def test_a_bare_name_needs_a_default_model(configured):
    (line,) = mistakes(configured(mine='base_url = "http://localhost:1/v1"', model="mine"))
    assert 'chat.model = "mine"' in line
    assert "plugins.compatible_provider.endpoints.mine.default_model" in line


def test_an_endpoint_that_is_not_there_is_answered_with_those_that_are(configured):
    (line,) = mistakes(configured(mine='base_url = "http://localhost:1/v1"', model="mime/fake"))
    assert 'no model provider "mime"' in line
    assert "mine" in line


def test_check_tells_such_mistakes_in_one_line(configured):
    path = configured(mine='api_key = "x"')
    assert "plugins.compatible_provider.endpoints.mine.base_url" in mistake_of(
        run("check", "--config", str(path))
    )


@pytest.mark.parametrize("url", ["localhost:11434/v1", "ftp://host/v1", "", "http://", "/v1"])
def test_an_address_that_is_none_is_named_at_the_start(write_config, url):
    path = write_config(
        'enabled = ["sqlite_store", "compatible_provider"]\n[chat]\nmodel = "acme/x"\n'
        f'[plugins.compatible_provider.endpoints.acme]\nbase_url = "{url}"\n'
    )
    with pytest.raises(StartupError, match=r"plugins.compatible_provider.endpoints.acme.base_url: "):
        assemble(path, environ={})


def test_what_is_meant_for_openai_goes_to_nobody_else(write_config, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-ours")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-ours")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: ours")
    path = write_config(
        'enabled = ["sqlite_store", "compatible_provider"]\n[chat]\nmodel = "acme/x"\n'
        '[plugins.compatible_provider.endpoints.acme]\nbase_url = "http://acme.example/v1"\n'
    )
    client = assemble(path, environ={}).models.providers["acme"].client()
    assert "ours" not in str(client.default_headers)
