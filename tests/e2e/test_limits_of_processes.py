"""Limits of several processes: exact with Redis, and without it each process says that it counts for itself. Turns are counted in the database."""

import asyncio
import secrets
import time
from collections import Counter as Tally

import jwt
import pytest
from structlog.testing import capture_logs

from chatrack.limits import counter
from tests.support.auth import list_threads
from tests.support.databases import only_sqlite
from tests.support.process import START
from tests.support.redis import own_redis, require_redis
from tests.support.serving import message, serving
from tests.support.waiting import until

counted_elsewhere = only_sqlite("requests are not counted in the store")

SECRET = "the secret of the issuer, long enough"
CLIENTS = 32
PER_CLIENT = 8
QUOTA = 100


def sign(user):
    token = jwt.encode({"sub": user, "exp": time.time() + 3600}, SECRET, "HS256")
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def limited(configure):
    def configure_limited(lines, **options):
        return configure(
            **options,
            enabled='["sqlite_store", "openai_provider", "todo_tools", "jwt_auth"]',
            extra=f'[plugins.jwt_auth]\nsecret = "{SECRET}"\n[limits]\n{lines}',
        )

    return configure_limited


@pytest.mark.long
@counted_elsewhere
async def test_four_processes_together_allow_as_many_requests_as_one(limited, started):
    config = limited(f'requests = {QUOTA}\nwindow = 3600\nstorage = "{require_redis()}"')
    servers = [started.spawn(config) for _ in range(4)]
    for server in servers:
        await server.ready()
    headers = sign(f"user-{secrets.token_hex(8)}")
    statuses = Tally()

    async def client(number):
        async with servers[number % 4].http() as http:
            for _ in range(PER_CLIENT):
                statuses[(await list_threads(http, headers)).status_code] += 1

    await asyncio.gather(*map(client, range(CLIENTS)))
    assert set(statuses) == {200, 429}
    assert statuses.total() == CLIENTS * PER_CLIENT
    assert abs(statuses[200] - QUOTA) <= 1
    for server in servers:
        assert "limits are per process" not in server.log()
        server.assert_clean()


@counted_elsewhere
async def test_without_redis_every_worker_says_that_it_counts_for_itself(limited, started):
    server = started.spawn(limited("requests = 5"), "--workers", "2")
    await until(lambda: server.log().count("limits are per process") >= 2, START, server.log)
    await server.ready()
    assert server.log().count("limits are per process") == 2
    server.assert_clean("limits are per process")


@counted_elsewhere
@pytest.mark.parametrize(("on_error", "status"), [("allow", 200), ("deny", 503)])
async def test_redis_may_go_away_and_come_back(limited, tmp_path, monkeypatch, on_error, status):
    monkeypatch.setattr(counter, "RETRY_INTERVAL", 0.05)
    async with own_redis(tmp_path) as redis:
        lines = f'requests = 2\nwindow = 3600\nstorage = "{redis.url}"\non_storage_error = "{on_error}"'
        with capture_logs() as logs:
            async with serving(limited(lines)) as chat:

                async def statuses(count):
                    responses = [await list_threads(chat.http, sign("alice")) for _ in range(count)]
                    if responses[-1].status_code == 503:
                        assert responses[-1].headers["retry-after"] == "5"
                    return [response.status_code for response in responses]

                def logged(text):
                    return [entry for entry in logs if entry["event"] == text]

                assert await statuses(3) == [200, 200, 429]
                await redis.stop()
                assert await statuses(6) == [status] * 6
                await asyncio.sleep(0.06)
                assert await statuses(6) == [status] * 6
                [outage] = logged("limits storage unavailable")
                assert (outage["log_level"], outage["on_storage_error"]) == ("error", on_error)
                assert logged("limits storage available again") == []
                await redis.start()

                async def is_back():
                    await statuses(1)
                    return logged("limits storage available again")

                await until(is_back)
                assert (await statuses(3))[-1] == 429
                assert len(logged("limits storage available again")) == 1
                assert len(logged("limits storage unavailable")) == 1


@counted_elsewhere
async def test_no_request_waits_for_a_redis_that_is_silent_but_the_first(limited, tmp_path, monkeypatch):
    monkeypatch.setattr(counter, "TIMEOUT", 0.2)
    monkeypatch.setattr(counter, "RETRY_INTERVAL", 3600)
    async with (
        own_redis(tmp_path) as redis,
        serving(limited(f'requests = 1\nstorage = "{redis.url}"')) as chat,
    ):
        asked = []
        original = counter.Counter._ask

        async def ask(self, question):
            async def noted():
                asked.append(1)
                return await question()

            return await original(self, noted)

        monkeypatch.setattr(counter.Counter, "_ask", ask)
        redis.pause()
        with capture_logs() as logs:
            responses = [await list_threads(chat.http, sign("alice")) for _ in range(5)]
        assert {response.status_code for response in responses} == {200}
        assert len(asked) == 1
        [outage] = [entry for entry in logs if entry["event"] == "limits storage unavailable"]
        assert outage["reason"] == "TimeoutError"


@counted_elsewhere
async def test_a_server_starts_without_its_redis_and_says_so_once(limited, tmp_path):
    async with own_redis(tmp_path) as redis:
        await redis.stop()
        with capture_logs() as logs:
            async with serving(
                limited(f'requests = 1\nstorage = "redis://:geheim@127.0.0.1:{redis.port}"')
            ) as chat:
                assert (await list_threads(chat.http, sign("alice"))).status_code == 200
        [outage] = [entry for entry in logs if entry["event"] == "limits storage unavailable"]
        assert outage["counted"] == f"in Redis at 127.0.0.1:{redis.port}"
        assert "geheim" not in str(logs)


@pytest.mark.parametrize(("kind", "most"), [("sqlite", 2), ("postgresql", 3)])
async def test_two_servers_count_the_turns_of_a_user_together(limited, started, provider, most):
    """Over SQLite exactly: transactions come one after the other. Elsewhere one more may begin at the same moment."""
    config = limited("turns_per_user = 2", model="fake-h2")
    servers = [started.spawn(config) for _ in range(2)]
    for server in servers:
        await server.ready()
    headers = sign("alice")
    body = {"type": "threads.create", "params": {"input": message("hello")}}

    async def begin(number):
        async with servers[number % 2].http() as http:
            return (await http.post("/chatkit/api", json=body, headers=headers)).status_code

    tries = [asyncio.create_task(begin(number)) for number in range(12)]
    await until(lambda: sum(task.done() for task in tries) >= 12 - most)
    await provider.until("started", 1)
    # Those that run are held back by their model, so all that are done were refused.
    assert {task.result() for task in tries if task.done()} == {429}
    late = [await begin(number) for number in range(2)]
    assert late == [429, 429]
    await provider.release()
    statuses = Tally(await asyncio.gather(*tries))
    assert 2 <= statuses[200] <= most
    assert statuses[200] + statuses[429] == 12
    assert await begin(0) == 200
