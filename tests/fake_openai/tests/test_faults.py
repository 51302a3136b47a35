"""Streams of the fake upstream that fail, break off or are written oddly, and scripted refusals."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.fake_openai import Serving
from tests.fake_openai.model_name import parse_model
from tests.support.waiting import until

APIS = pytest.mark.parametrize("api", ["responses", "chat"])


def text(api: str, events: list[dict[str, Any]]) -> str:
    if api == "responses":
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event.get("choices", [])
    )


async def chunks(raw: httpx2.AsyncClient, api: str, model: str, said: str = "hi") -> list[bytes]:
    """Return the pieces in which the body of a streamed answer arrives."""
    path, source = ("/v1/responses", {"input": said})
    if api == "chat":
        path, source = "/v1/chat/completions", {"messages": [{"role": "user", "content": said}]}
    async with raw.stream("POST", path, json={"model": model, "stream": True, **source}) as answer:
        return [chunk async for chunk in answer.aiter_raw()]


# Names


@pytest.mark.parametrize("name", ["fake-large", "fake-gemini", "fake-claude-n5", "fake-gemini3.5", "fake-b-"])
def test_labels_stay_labels(name: str) -> None:
    behaviour = parse_model(name)
    if name == "fake-b-":
        assert behaviour is None
    else:
        assert behaviour is not None
        assert behaviour.stop_after is None
        assert not behaviour.garbled


def test_options_combine() -> None:
    behaviour = parse_model("fake-n20-crlf-split-v5-t2-a7-sig-large")
    assert behaviour is not None
    assert (behaviour.tokens, behaviour.failed_after, behaviour.times, behaviour.retry_after) == (20, 5, 2, 7)
    assert behaviour.crlf
    assert behaviour.split
    assert behaviour.signed
    assert not behaviour.bare_failure


# How the stream is written


@APIS
async def test_writes_end_within_characters(raw: httpx2.AsyncClient, api: str) -> None:
    said = "echo: zwölf Bäume 🌳🌳 und ein Fluß"
    pieces = await chunks(raw, api, "fake-split", said)
    broken = 0
    for piece in pieces:
        try:
            piece.decode()
        except UnicodeDecodeError:
            broken += 1
    assert broken >= 2 + 2 + 3 + 2
    assert "Flu" in b"".join(pieces).decode()


@APIS
async def test_clients_read_split_writes(client: AsyncOpenAI, api: str) -> None:
    said = "echo: zwölf Bäume 🌳🌳 und ein Fluß"
    if api == "responses":
        stream = await client.responses.create(model="fake-split-crlf-comments", input=said, stream=True)
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    else:
        stream = await client.chat.completions.create(
            model="fake-split-crlf-comments", messages=[{"role": "user", "content": said}], stream=True
        )
        deltas = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(deltas) == said.removeprefix("echo: ")


@APIS
async def test_lines_end_with_crlf(post: Any, api: str) -> None:
    answer = await post(api, "fake-crlf-noise", stream=True)
    assert b"\n" not in answer.content.replace(b"\r\n", b"")
    assert b"\r\n\r\n" in answer.content


@APIS
async def test_noise_stands_between_the_events(post: Any, stream: Any, api: str) -> None:
    answer = (await post(api, "fake-noise", stream=True)).text
    for noise in (": keep-alive\n\n", "data:\n\n", "retry: 10\nid: 7\nfoo: bar\n"):
        assert noise in answer
    assert text(api, await stream(api, "fake-noise")) == "w0 w1 w2 w3 w4 w5 w6 w7 "


# Answers that are held back


@APIS
async def test_an_answer_is_held_back_until_it_is_released(
    raw: httpx2.AsyncClient, upstream: Serving, api: str
) -> None:
    assert b"w1 " in b"".join(await chunks(raw, api, "fake-n2-h2"))  # there is nothing to hold back
    held = asyncio.create_task(chunks(raw, api, "fake-n4-h2"))
    await until(lambda: upstream.state.open == 1)
    await asyncio.sleep(0.1)
    assert not held.done()
    assert (await raw.post("/__release")).status_code == 200
    assert b"w3 " in b"".join(await held)
    assert b"w3 " in b"".join(await chunks(raw, api, "fake-n4-h2"))


async def test_answers_are_released_by_a_text_of_their_requests(
    raw: httpx2.AsyncClient, upstream: Serving
) -> None:
    first, second = (asyncio.create_task(chunks(raw, "chat", "fake-h0", said)) for said in ("one", "two"))
    await until(lambda: upstream.state.open == 2)
    assert (await raw.post("/__release", content=b'"two"')).status_code == 200
    await second
    await chunks(raw, "chat", "fake-h0", "two")
    assert not first.done()
    upstream.state.release("one")
    await first


async def test_a_client_may_leave_while_its_answer_is_held_back(
    raw: httpx2.AsyncClient, upstream: Serving
) -> None:
    held = asyncio.create_task(chunks(raw, "chat", "fake-h0"))
    await until(lambda: upstream.state.open == 1)
    held.cancel()
    await until(lambda: upstream.state.aborted == 1)


# Failures within the stream


@APIS
async def test_malformed_json_and_on_it_goes(post: Any, api: str) -> None:
    answer = await post(api, "fake-n5-b3", stream=True)
    broken = []
    deltas = 0
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            try:
                json.loads(line.removeprefix("data: "))
            except ValueError:
                broken.append(deltas)
            deltas += '"w' in line and ("output_text.delta" in line or '"content":"w' in line)
    assert broken == [3]
    assert "w4 " in answer.text
    assert "response.completed" in answer.text or "[DONE]" in answer.text


@APIS
async def test_silence_until_the_client_leaves(raw: httpx2.AsyncClient, upstream: Serving, api: str) -> None:
    asking = asyncio.create_task(chunks(raw, api, "fake-s2"))
    await until(lambda: upstream.state.open == 1)
    await asyncio.sleep(0.1)
    assert not asking.done()
    asking.cancel()
    await until(lambda: upstream.state.aborted == 1)
    assert upstream.state.open == 0


@APIS
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_reset_is_a_reset(upstream: Serving, api: str, streamed: bool) -> None:
    """With httpx a reset looks like a cut: the socket itself tells."""
    host, port = upstream.url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path, source = ("/v1/responses", {"input": "hi"})
    if api == "chat":
        path, source = "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps({"model": "fake-z3", "stream": streamed, **source})
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    received = b""
    with pytest.raises(ConnectionResetError):  # noqa: PT012  what came before it matters as well
        while piece := await reader.read(65536):
            received += piece
    assert (b"w2 " in received) == streamed
    assert b"w3 " not in received
    writer.close()
    await until(lambda: upstream.state.finished == 1)


async def test_responses_fail_within_the_stream(stream: Any, client: AsyncOpenAI) -> None:
    events = await stream("responses", "fake-v3")
    assert text("responses", events) == "w0 w1 w2 "
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    typed = [event async for event in await client.responses.create(model="fake-v3", input="hi", stream=True)]
    type(typed[-1]).model_validate(typed[-1].model_dump(warnings=False))


async def test_responses_fail_with_a_bare_event(stream: Any) -> None:
    events = await stream("responses", "fake-w0")
    assert text("responses", events) == ""
    assert {
        name: value for name, value in events[-1].items() if name not in ("message", "sequence_number")
    } == {"type": "error", "code": "server_error", "param": None}


@pytest.mark.parametrize("model", ["fake-v3", "fake-w3"])
async def test_chat_fails_within_the_stream(post: Any, client: AsyncOpenAI, model: str) -> None:
    answer = (await post("chat", model, stream=True)).text
    assert "w2 " in answer
    assert "w3 " not in answer
    assert "[DONE]" not in answer
    assert json.loads(answer.splitlines()[-2].removeprefix("data: "))["error"]["type"] == "server_error"
    stream = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    with pytest.raises(openai.APIError, match="had an error while processing"):
        [chunk async for chunk in stream]


@APIS
async def test_an_unstreamed_answer_fails_with_a_status(post: Any, upstream: Serving, api: str) -> None:
    answer = await post(api, "fake-v3")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert upstream.state.finished == 1
    assert (await post(api, "fake-n2-v3")).status_code == 200


# Refusals by status


@APIS
async def test_quota(post: Any, api: str) -> None:
    answer = await post(api, "fake-quota")
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == answer.json()["error"]["type"] == "insufficient_quota"
    assert "retry-after" not in answer.headers
    assert answer.headers["x-request-id"].startswith("req_")


@APIS
@pytest.mark.parametrize(
    ("model", "seconds"), [("e429", "1"), ("e503", "1"), ("e429-a7", "7"), ("quota-a3", "3")]
)
async def test_retry_after(post: Any, api: str, model: str, seconds: str) -> None:
    assert (await post(api, f"fake-{model}")).headers["retry-after"] == seconds


@APIS
async def test_the_error_is_given_n_times(post: Any, upstream: Serving, api: str) -> None:
    statuses = [(await post(api, "fake-e503-t2")).status_code for _ in range(4)]
    assert statuses == [503, 503, 200, 200]
    assert (await post(api, "fake-e503-t2-large")).status_code == 503
    upstream.state.reset()
    assert (await post(api, "fake-e503-t2")).status_code == 503


@APIS
async def test_a_stream_breaks_n_times(stream: Any, api: str) -> None:
    assert text(api, await stream(api, "fake-n4-v2-t1")) == "w0 w1 "
    assert text(api, await stream(api, "fake-n4-v2-t1")) == "w0 w1 w2 w3 "


@pytest.mark.parametrize(("api", "param"), [("responses", "input"), ("chat", "messages")])
async def test_the_context_window(post: Any, api: str, param: str) -> None:
    assert (await post(api, "fake-i100")).status_code == 200
    answer = await post(api, "fake-i100", "x" * 500)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [{"model": "fake-e500"}, {"model": "gpt-4"}, {}])
async def test_every_refusal_has_a_request_id(raw: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    for path in ("/v1/responses", "/v1/chat/completions", "/v1beta/openai/chat/completions", "/v1/nothing"):
        answer = await raw.post(path, json=body)
        assert answer.status_code >= 400
        assert answer.headers["x-request-id"].startswith("req_")


# Transcription


async def test_transcription(client: AsyncOpenAI, upstream: Serving) -> None:
    file = ("note.webm", b"\x00\xff" * 50, "audio/webm;codecs=opus")
    answer = await client.audio.transcriptions.create(model="fake", file=file)
    assert answer.text == "heard 100 bytes of note.webm/audio/webm;codecs=opus"
    assert upstream.state.finished == 1
    assert upstream.state.log[-1]["body"]["file"]["size"] == 100
    for model, kind in (("fake-e500", openai.InternalServerError), ("gpt", openai.NotFoundError)):
        with pytest.raises(kind):
            await client.audio.transcriptions.create(model=model, file=file)
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").audio.transcriptions.create(model="fake", file=file)


async def test_a_transcription_needs_a_file(raw: httpx2.AsyncClient) -> None:
    for more in ({"data": {"model": "fake"}}, {"files": {"file": ("a", b"")}}, {"json": {"model": "fake"}}):
        answer = await raw.post("/v1/audio/transcriptions", **more)
        assert answer.status_code == 400
