"""Hostile input: nothing that users send breaks a thread, delays others or appears in a log."""

import json

import pytest

from tests.support.serving import errors_of, message


def tagged(**tag):
    content = [{"type": "input_tag", "id": "e", "text": "Ada", "data": {}, **tag}]
    return {"content": content, "attachments": [], "inference_options": {}}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


async def post(chat, body):
    return await chat.http.post(chat.path, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("depth", [80, 200, 400, 900, 20_000])
async def test_a_deeply_nested_body_is_a_400(chat, depth):
    body = '{"type":"threads.create","params":{"input":{"content":[{"type":"input_tag","id":"e","text":"x","data":'
    body += '{"a":' * depth + "1" + "}" * depth + '}],"attachments":[],"inference_options":{}}}}'
    assert (await post(chat, body)).status_code == 400
    assert (await chat.get("threads.list"))["data"] == []


async def test_what_is_accepted_can_be_read_again_in_every_later_turn(chat):
    events = await chat.events("threads.create", input=tagged(data=nested(50)))
    assert not errors_of(events)
    thread = events[0]["thread"]["id"]
    for _ in range(2):
        assert not errors_of(await chat.say(thread, "and now?"))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"input": {"content": [0] * 200_000}}, "params.input.content"),
        ({"input": {**message("x"), "attachments": ["a"] * 101}}, "params.input.attachments"),
    ],
)
async def test_a_list_that_is_too_long_is_refused_before_its_elements_are_looked_at(chat, params, field):
    response = await chat.call("threads.create", **params)
    assert response.status_code == 400
    assert response.json()["field"] == field


@pytest.mark.parametrize(
    "tag", [{"id": "x" * 200_000}, {"group": "x" * 200_000}, {"data": {"a": "x" * 200_000}}]
)
async def test_what_comes_with_a_message_is_bounded_too(chat, tag):
    response = await chat.call("threads.create", input=tagged(**tag))
    assert response.status_code == 400
    assert (await chat.get("threads.list"))["data"] == []


async def test_a_result_of_the_page_is_bounded(chat):
    thread, _ = await chat.create("hi")
    response = await chat.call("threads.add_client_tool_output", thread_id=thread, result="x" * 300_000)
    assert response.status_code == 400


async def test_a_long_key_is_not_repeated_in_the_answer(chat):
    response = await chat.call("threads.custom_action", thread_id="thr_x", action={"k" * 10_000: 1})
    assert len(response.content) < 1000


async def test_only_requests_to_this_machine_are_answered_without_an_authenticator(chat):
    body = {"type": "threads.list", "params": {}}
    for host in ("evil.example", "evil.example:8000", "10.0.0.1"):
        response = await chat.http.post(chat.path, json=body, headers={"host": host})
        assert response.status_code == 403
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert (await chat.http.post(chat.path, json=body, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("style", ["json", "console"])
async def test_a_traceback_in_the_log_shows_no_token_and_no_words_of_the_user(
    chat, style, capsys, monkeypatch
):
    import structlog

    from chatrack import logs

    async def broken(*_args, **_options):
        raise RuntimeError("boom")

    before = structlog.get_config()
    import logging

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logs.configure("info", style)
    try:
        monkeypatch.setattr(type(chat.server.store), "begin_turn", broken)
        response = await chat.http.post(
            chat.path,
            json={"type": "threads.create", "params": {"input": message("MY-PRIVATE-WORDS")}},
            headers={"authorization": "Bearer MY-TOKEN", "x-domain-key": "MY-KEY"},
        )
    finally:
        structlog.configure(**before)
        root.handlers, root.level = handlers, level
    assert response.status_code == 500
    assert "boom" not in response.text
    log = capsys.readouterr().err
    assert "boom" in log
    assert "MY-" not in log
    if style == "json":
        assert all(json.loads(line) for line in log.splitlines())
