"""A server that is told to stop (uvicorn alone waits for its connections first, and then truncates bodies)."""

import asyncio
import signal

import httpx
import pytest

from tests.support.client import answering, connect, create_request, deltas_of, events_in, words
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of, errors_of, message
from tests.support.waiting import LIMIT, until, until_turns

ENDLESS = "fake-n20000-d50"

terminated = pytest.mark.parametrize("number", [signal.SIGTERM], ids=["SIGTERM"])
# The two signals take the same way through the server; this shows it where most of that way is walked.
either = pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param(kind, number, id=f"{kind}-{number.name}")
        for kind, number in (
            ("sqlite", signal.SIGTERM),
            ("sqlite", signal.SIGINT),
            ("postgresql", signal.SIGTERM),
            ("mysql", signal.SIGTERM),
        )
    ],
)


async def until_draining(chat):
    """Wait until a server says that it is being stopped, and return what it says."""

    async def draining():
        response = await chat.http.get("/ready")
        return response if response.status_code == 503 else None

    return await until(draining)


@either
async def test_a_stopping_server_is_alive_but_not_ready_and_takes_no_new_turns(
    started, configure, provider, number
):
    server = await started.serve(configure(model="fake-n60-h5", tools="[]", server="shutdown_grace = 600"))
    async with server.chat() as chat:
        other, _ = await chat.create("echo: before")
        async with answering(chat) as (stream, events):
            server.send(number)
            response = await until_draining(chat)
            assert response.json()["status"] == "draining"
            assert response.json()["turns"] == 1
            assert response.headers["retry-after"]
            assert (await chat.http.get("/health")).status_code == 200

            for refused in (
                await chat.call("threads.create", input=message("late")),
                await chat.call("threads.add_user_message", thread_id=other, input=message("late")),
            ):
                assert refused.status_code == 503, refused.text
                assert refused.headers["content-type"].startswith("application/problem+json")
                assert int(refused.headers["retry-after"]) >= 1
            assert len(await chat.items(other)) == 2  # reading goes on
            assert server.running

            await provider.release()
            events += [event async for event in stream]
        assert not errors_of(events)
        assert answer_of(events) == deltas_of(events) == words(60)
    assert await server.wait() == 0
    server.assert_clean("status=503")


@terminated
async def test_a_stream_that_can_finish_within_the_grace_finishes_whole(started, configure, provider, number):
    config = configure(model="fake-n60-h5", tools="[]", server="shutdown_grace = 600")
    server = await started.serve(config)
    async with server.chat() as chat, answering(chat) as (stream, events):
        server.send(number)
        await until_draining(chat)
        await provider.release()
        events += [event async for event in stream]
    assert await server.wait() == 0
    server.assert_clean("status=503")
    assert not errors_of(events)
    assert answer_of(events) == deltas_of(events) == words(60)

    server = await started.serve(config)
    async with server.chat() as chat:
        assert await chat.answers(events[0]["thread"]["id"]) == [words(60)]


@terminated
async def test_a_stream_that_cannot_finish_ends_with_an_error_and_its_text_is_kept(
    started, configure, provider, number
):
    config = configure(
        model=ENDLESS, tools="[]", server="shutdown_grace = 1", chat="lease = 30\nbusy_wait = 0"
    )
    server = await started.serve(config)
    async with server.chat() as chat, answering(chat) as (stream, events):
        thread = events[0]["thread"]["id"]
        server.send(number)
        events += [event async for event in stream]  # raises if the body is cut off
    assert await server.wait() == 0
    server.assert_clean("turn refused")
    assert (await provider.until("aborted", 1))["open"] == 0
    [error] = errors_of(events)
    assert events[-1] == error
    assert error["message"]
    assert error["allow_retry"] is True
    assert answer_of(events) == deltas_of(events)

    server = await started.serve(config)
    async with server.chat() as chat:
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"]
        assert await chat.answers(thread) == [deltas_of(events)]
        # the thread was given back: nobody has to wait for a lease
        assert answer_of(await chat.say(thread, "echo: on")) == "on"


@terminated
async def test_a_second_signal_cuts_the_grace_short(started, configure, number):
    server = await started.serve(configure(model=ENDLESS, tools="[]", server="shutdown_grace = 600"))
    async with server.chat() as chat, answering(chat) as (stream, events):
        server.send(number)
        await until_draining(chat)
        events += [await anext(stream) for _ in range(5)]  # it goes on
        server.send(number)
        events += [event async for event in stream]
    assert await server.wait() == 0
    server.assert_clean("turn refused", "status=503")
    assert len(errors_of(events)) == 1
    assert answer_of(events) == deltas_of(events)


@terminated
async def test_the_grace_ends_as_soon_as_the_last_turn_does(started, configure, number):
    server = await started.serve(configure(model=ENDLESS, tools="[]", server="shutdown_grace = 600"))
    async with server.chat() as chat, answering(chat):
        server.send(number)
        await until_draining(chat)
    # its client has hung up: there is nothing left to wait for
    assert await server.wait() == 0
    server.assert_clean("status=503")


@terminated
async def test_a_message_that_waits_for_its_thread_is_refused_or_stored_but_not_lost(
    started, configure, number
):
    config = configure(model=ENDLESS, tools="[]", server="shutdown_grace = 1", chat="busy_wait = 600")
    server = await started.serve(config)
    async with server.chat() as chat, answering(chat) as (stream, events):
        thread = events[0]["thread"]["id"]
        waiting = asyncio.create_task(
            chat.call("threads.add_user_message", thread_id=thread, input=message("echo: me too"))
        )
        await until_turns(chat, 2)
        server.send(number)
        events += [event async for event in stream]
        response = await waiting
    assert await server.wait() == 0
    assert len(errors_of(events)) == 1
    server.assert_clean("turn refused", "status=503")
    kept = ["user_message", "assistant_message"]
    if response.status_code == 200:
        assert len(errors_of(events_in(response.text))) == 1
        kept.append("user_message")
    else:
        assert response.status_code in {409, 503}, response.text
        assert response.headers["content-type"].startswith("application/problem+json")

    server = await started.serve(config)
    async with server.chat() as chat:
        assert [item["type"] for item in await chat.items(thread)] == kept


@either
async def test_an_idle_server_stops_at_once(started, configure, number):
    server = await started.serve(configure(server="shutdown_grace = 600"))
    assert await server.stop(number) == 0
    server.assert_clean()


@only_sqlite("a connection that asks for nothing does not reach the store")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_an_idle_connection_does_not_keep_the_server(started, configure, number):
    server = await started.serve(configure(server="shutdown_grace = 600"))
    async with server.http(limits=httpx.Limits()) as http:
        await http.get("/health")  # the connection stays in the pool
        with connect(server) as silent:  # and this one has never asked for anything
            assert await server.stop(number) == 0
            assert await read_all(silent) == b""
    server.assert_clean()


@only_sqlite("half a request does not reach the store")
@terminated
async def test_a_request_that_never_arrives_whole_does_not_keep_the_server(started, configure, number):
    server = await started.serve(configure(server="shutdown_grace = 1"))
    with connect(server) as half:
        half.sendall(
            b"POST /chatkit/api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        await asyncio.sleep(0.2)
        assert await server.stop(number) == 0
    server.assert_clean("timeout graceful shutdown exceeded")


@only_sqlite("what a reader does not take is in memory")
@terminated
async def test_a_reader_that_does_not_read_does_not_keep_the_server(started, configure, provider, number):
    config = configure(
        model="fake-n90000-k300", tools="[]", server="shutdown_grace = 1\nstream_buffer = 100000000"
    )
    server = await started.serve(config)
    with connect(server, receive_buffer=4096) as stuck:
        stuck.sendall(create_request())
        await provider.until("open", 1)
        await asyncio.sleep(1)
        assert await server.stop(number, 2 * LIMIT) == 0
    server.assert_clean("turn refused", "timeout graceful shutdown exceeded")


@terminated
async def test_many_streams_that_cannot_finish_all_end_properly(started, configure, number):
    config = configure(model=ENDLESS, tools="[]", server="shutdown_grace = 1")
    server = await started.serve(config)
    async with server.chat() as chat:
        streams = []

        async def talk():
            async with answering(chat, 1) as (stream, events):
                streams.append(events)
                await until(lambda: len(streams) == 20)
                events += [event async for event in stream]

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(talk())
            await until(lambda: len(streams) == 20)
            server.send(number)
    assert await server.wait() == 0
    server.assert_clean("turn refused")
    server = await started.serve(config)
    async with server.chat() as chat:
        for events in streams:
            assert len(errors_of(events)) == 1
            assert await chat.answers(events[0]["thread"]["id"]) == [deltas_of(events)]


async def read_all(sock):
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    data = b""
    async with asyncio.timeout(LIMIT):
        while chunk := await loop.sock_recv(sock, 65536):
            data += chunk
    return data
