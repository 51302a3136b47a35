"""HTTP errors for requests that cannot be answered, before the first byte of a stream."""

import json

import pytest

from tests.support.serving import Chat, message


def assert_problem(response, status: int, field: str | None = None) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"].startswith("req_")
    assert response.headers["x-request-id"] == problem["request_id"]
    if field is not None:
        assert problem["field"] == field
    return problem


async def post(chat: Chat, body: bytes | str, content_type: str = "application/json"):
    return await chat.http.post(chat.path, content=body, headers={"content-type": content_type})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,2]", b"null", b'"x"', b"\xff\xfe", b'{"type": 5}', b"[" * 5000]
)
async def test_malformed_json_is_a_400(chat, body):
    assert_problem(await post(chat, body), 400)


async def test_an_unknown_type_is_a_400_that_guesses_what_was_meant(chat):
    problem = assert_problem(await post(chat, '{"type":"threads.lst","params":{}}'), 400, "type")
    assert "threads.list" in problem["detail"]


@pytest.mark.parametrize(
    ("request_type", "params", "field"),
    [
        ("threads.get_by_id", {}, "params.thread_id"),
        ("threads.create", {}, "params.input"),
        ("threads.create", {"input": {"content": "hi"}}, "params.input.content"),
        (
            "threads.create",
            {"input": {"content": [{"type": "input_text"}]}},
            "params.input.content.0.input_text.text",
        ),
        ("threads.list", {"limit": "many"}, "params.limit"),
        ("threads.list", {"order": "sideways"}, "params.order"),
    ],
)
async def test_a_missing_or_wrong_field_is_a_400_that_names_it(chat, request_type, params, field):
    assert_problem(await chat.call(request_type, **params), 400, field)


@pytest.mark.parametrize("limit", [-5, 0])
async def test_a_page_of_less_than_one_is_a_400(chat, limit):
    thread, _ = await chat.create("hi")
    assert_problem(await chat.call("threads.list", limit=limit), 400, "params.limit")
    assert_problem(await chat.call("items.list", thread_id=thread, limit=limit), 400, "params.limit")


async def test_a_huge_limit_gets_the_largest_page(chat):
    await chat.create("hi")
    assert len((await chat.get("threads.list", limit=10**9))["data"]) == 1


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00\x01"])
async def test_an_empty_message_is_a_400_and_leaves_no_thread(chat, text):
    assert_problem(await chat.call("threads.create", input=message(text)), 400, "params.input.content")
    assert_problem(
        await chat.call("threads.create", input={**message("x"), "content": []}), 400, "params.input.content"
    )
    assert (await chat.get("threads.list"))["data"] == []


async def test_a_message_that_is_too_long_is_a_400(chat):
    assert_problem(
        await chat.call("threads.create", input=message("x" * 10_001)), 400, "params.input.content"
    )
    assert_problem(
        await chat.call("threads.create", input=message("x", quoted_text="y" * 10_001)),
        400,
        "params.input.quoted_text",
    )


async def test_a_title_is_bounded(chat):
    thread, _ = await chat.create("hi")
    assert_problem(await chat.call("threads.update", thread_id=thread, title="x" * 201), 400, "params.title")
    assert_problem(await chat.call("threads.update", thread_id=thread, title=" \x00 "), 400, "params.title")
    renamed = await chat.get("threads.update", thread_id=thread, title="  A\x07 new \n name ")
    assert renamed["title"] == "A new name"


async def test_a_title_of_20_megabytes_is_a_413(chat):
    body = json.dumps({"type": "threads.update", "params": {"thread_id": "thr_x", "title": "x" * 20_000_000}})
    assert_problem(await post(chat, body), 413)


async def test_a_chunked_body_over_the_limit_is_a_413(chat):
    async def chunks():
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"content-type": "application/json"}
    assert_problem(await chat.http.post(chat.path, content=chunks(), headers=headers), 413)


UNKNOWN = "thr_00000000000000000000000000000000"


@pytest.mark.parametrize(
    ("request_type", "params"),
    [
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("items.list", {"limit": -5}),
        ("threads.update", {"title": ""}),
        ("threads.delete", {}),
        ("items.feedback", {"item_ids": [], "kind": "positive"}),
        ("threads.add_user_message", {"input": message("hi")}),
        ("threads.add_user_message", {"input": message("")}),
        ("threads.add_client_tool_output", {"result": 1}),
        ("threads.add_structured_input", {"item_id": "x", "input": {}}),
        ("threads.retry_after_item", {"item_id": "x"}),
        ("threads.custom_action", {"action": {"type": "a.b"}}),
        ("threads.sync_custom_action", {"action": {"type": "a.b"}}),
    ],
)
async def test_an_unknown_thread_is_a_404_before_anything_else(chat, request_type, params):
    assert_problem(await chat.call(request_type, thread_id=UNKNOWN, **params), 404)


async def test_an_unknown_item_or_cursor_is_a_404(chat):
    thread, _ = await chat.create("hi")
    other, _ = await chat.create("other")
    foreign_item = (await chat.items(other))[0]["id"]
    for item in ("msg_unknown", foreign_item):
        assert_problem(await chat.call("threads.retry_after_item", thread_id=thread, item_id=item), 404)
        assert_problem(await chat.call("items.list", thread_id=thread, after=item), 404)
        feedback = await chat.call("items.feedback", thread_id=thread, item_ids=[item], kind="positive")
        assert_problem(feedback, 404)
    assert_problem(await chat.call("threads.list", after=UNKNOWN), 404)


async def test_an_unknown_attachment_is_a_404_and_leaves_no_thread(chat):
    refused = await chat.call("threads.create", input=message("look", attachments=["atc_unknown"]))
    assert_problem(refused, 404, "params.input.attachments")
    assert (await chat.get("threads.list"))["data"] == []
    assert_problem(await chat.call("attachments.delete", attachment_id="atc_unknown"), 404)


async def test_an_answer_that_nobody_waits_for_is_refused_and_the_thread_stays_free(chat):
    thread, _ = await chat.create("hi")
    assert_problem(await chat.call("threads.add_client_tool_output", thread_id=thread, result=1), 404)
    item = (await chat.items(thread))[0]["id"]
    answers = {"thread_id": thread, "item_id": item, "input": {"answers": {}}}
    assert_problem(await chat.call("threads.add_structured_input", **answers), 400, "params.item_id")
    assert await chat.say(thread, "still there?")


async def test_only_a_users_message_can_be_retried(chat):
    thread, _ = await chat.create("hi")
    answer = (await chat.items(thread))[1]["id"]
    refused = await chat.call("threads.retry_after_item", thread_id=thread, item_id=answer)
    assert_problem(refused, 400, "params.item_id")


async def test_requests_for_what_this_server_does_not_do_are_refused(chat):
    upload = await chat.call("attachments.create", name="a.txt", size=3, mime_type="text/plain")
    assert_problem(upload, 400)
    assert_problem(await chat.call("input.transcribe", audio_base64="aGk=", mime_type="audio/webm"), 400)
    thread, _ = await chat.create("hi")
    action = await chat.call("threads.custom_action", thread_id=thread, action={"type": "no.such"})
    assert_problem(action, 400, "params.action.type")


async def test_the_wrong_method_is_a_405_and_the_wrong_path_a_404(chat):
    response = await chat.http.get(chat.path)
    assert_problem(response, 405)
    assert "POST" in response.headers["allow"]
    assert_problem(await chat.http.get("/nothing"), 404)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", ""])
async def test_the_wrong_content_type_is_a_415(chat, content_type):
    assert_problem(await post(chat, b'{"type":"threads.list","params":{}}', content_type), 415)


async def test_what_clients_leave_out_is_filled_in(chat):
    assert (await post(chat, '{"type":"threads.list"}')).status_code == 200
    assert (
        await post(chat, '{"type":"threads.list","params":null,"metadata":null,"new":1}')
    ).status_code == 200
    given = {"content": [{"type": "input_text", "text": "hi", "future": 1}], "inference_options": None}
    events = await chat.events("threads.create", input=given)
    assert events[-1]["type"] == "thread.item.done"


async def test_responses_carry_security_headers(chat):
    for response in (
        await chat.http.get("/health"),
        await chat.call("threads.list"),
        await chat.http.get("/x"),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"
