"""`[limits]`: what users and addresses get who ask for too much, and that nobody else notices."""

import asyncio
import importlib.util
import json
import time
from collections import Counter as Tally
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import jwt
import pytest
from structlog.testing import capture_logs

from chatrack.config import LimitsTable, RoleLimits
from chatrack.limits import counter, limits, memory
from chatrack.limits import tokens as tokens_of_days
from chatrack.limits.addresses import address_key
from chatrack.limits.limit import in_words
from chatrack.limits.memory import MemoryWindows
from chatrack.limits.roles import LimitsByRole
from chatrack.sql import Database
from tests.support.auth import assert_refused, list_threads
from tests.support.commands import mistake_of, run
from tests.support.serving import Chat, errors_of, message, serving
from tests.support.waiting import until, until_idle

SECRET = "the secret of the issuer, long enough"
KIND = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def sign(user, *, secret=SECRET, tenant="acme", roles=()):
    claims = {"sub": user, "org": tenant, "roles": list(roles), "exp": time.time() + 3600}
    return {"authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}


def as_user(chat, user, **more):
    """Return a client of the same server that sends the token of a user."""
    chat.http.headers.pop("authorization", None)
    return User(chat, sign(user, **more))


class User(Chat):
    """A client with a token."""

    def __init__(self, chat, headers):
        super().__init__(chat.http, chat.path, chat.server)
        self.headers = headers

    async def call(self, kind, /, **params):
        return await self.http.post(self.path, json={"type": kind, "params": params}, headers=self.headers)

    async def list(self):
        return await list_threads(self.http, self.headers)

    async def begin(self, text="hello"):
        """Begin a thread, read all of the answer, and return the response."""
        return await self.call("threads.create", input=message(text))


@pytest.fixture
def limited(configure):
    """Write a config with `[limits]` and users."""

    def configure_limited(lines, *, model="fake", roles="", **options):
        extra = f"""
[plugins.jwt_auth]
secret = "{SECRET}"
tenant_claim = "org"
[limits]
{lines}
{roles}
"""
        return configure(
            model=model,
            enabled='["sqlite_store", "openai_provider", "todo_tools", "jwt_auth"]',
            extra=extra,
            **options,
        )

    return configure_limited


@pytest.fixture
def clock(monkeypatch):
    """The clock of the moving windows."""
    now = SimpleNamespace(value=1_000_000.0)
    fake = SimpleNamespace(time=lambda: now.value, monotonic=time.monotonic)
    monkeypatch.setattr(memory, "time", fake)
    monkeypatch.setattr(counter, "time", fake)
    return now


def problem_of(response, limit, *, policy, wait):
    """Assert that a response is a complete 429, and return its sentence."""
    assert response.status_code == 429, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.headers["retry-after"] == str(wait)
    assert response.headers["ratelimit-policy"] == f'"{limit}";{policy}'
    assert response.headers["ratelimit"] == f'"{limit}";r=0;t={wait}'
    body = response.json()
    assert (body["type"], body["title"], body["status"]) == (KIND, "Too Many Requests", 429)
    assert body["violated-policies"] == [limit]
    return body["detail"]


# -- requests ----------------------------------------------------------------------------------------------


async def test_a_user_with_too_many_requests_waits_and_others_do_not(limited, clock):
    async with serving(limited("requests = 3\nwindow = 90")) as chat:
        alice, bob = as_user(chat, "alice"), as_user(chat, "bob")
        namesake = as_user(chat, "alice", tenant="other")
        for seconds in (0, 10, 10):
            clock.value += seconds
            assert (await alice.list()).status_code == 200
        for user in (bob, namesake):
            assert (await user.list()).status_code == 200
        clock.value += 30.5
        sentence = problem_of(await alice.list(), "requests", policy="q=3;w=90", wait=40)
        assert sentence == "Only 3 requests are accepted in 90 seconds. Please try again in 40 seconds."
        clock.value += 39
        problem_of(await alice.begin(), "requests", policy="q=3;w=90", wait=1)
        clock.value += 1  # the first of the three has left the window; what was refused never counted
        assert (await alice.list()).status_code == 200
        problem_of(await alice.list(), "requests", policy="q=3;w=90", wait=10)


async def test_what_is_no_request_of_the_api_does_not_count(limited, clock):
    config = limited("requests = 1\naddress_requests = 1", server='cors_origins = ["https://a.example"]')
    async with serving(config) as chat:
        alice = as_user(chat, "alice")
        origin = {"origin": "https://a.example", "access-control-request-method": "POST"}
        for _ in range(3):
            assert (await chat.http.get("/health")).status_code == 200
            assert (await chat.http.get("/ready")).status_code == 200
            assert (await chat.http.options("/chatkit/api", headers=origin)).status_code == 204
        assert (await alice.list()).status_code == 200
        refused = await list_threads(chat.http, {**alice.headers, **origin})
        assert refused.status_code == 429
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        exposed = refused.headers["access-control-expose-headers"].lower().split(", ")
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(exposed)


async def test_requests_of_an_address_are_refused_before_anybody_asks_whose_they_are(limited, clock):
    async with serving(limited("address_requests = 2")) as chat:
        alice, bob = as_user(chat, "alice"), as_user(chat, "bob")
        assert (await alice.list()).status_code == 200
        assert (await chat.call("threads.list")).status_code == 401
        clock.value += 20
        for user in (bob, as_user(chat, "mallory", secret="x" * 32), chat):
            response = await user.call("threads.list", limit=1)
            sentence = problem_of(response, "address_requests", policy="q=2;w=60", wait=40)
        assert sentence == (
            "Only 2 requests are accepted from one network address in 1 minute. "
            "Please try again in 40 seconds."
        )


async def test_without_a_limit_nothing_is_counted(limited, monkeypatch):
    async with serving(limited("")) as chat:
        alice = as_user(chat, "alice")

        async def fail(*_):
            raise AssertionError("counted")

        monkeypatch.setattr(counter.Counter, "wait_for", fail)
        responses = [await alice.list(), await alice.begin()]
        assert [response.status_code for response in responses] == [200, 200]
        assert not [name for name in responses[0].headers if name.startswith("ratelimit")]


async def test_a_user_at_the_limit_costs_others_no_step(limited, monkeypatch):
    """The steps of a request: what it asks the database, and what it counts."""
    steps = Tally()
    for owner, name in ((Database, "fetch"), (Database, "write"), (counter.Counter, "_ask")):
        original = getattr(owner, name)

        def counted(self, *args, original=original, name=name):
            steps[name] += 1
            return original(self, *args)

        monkeypatch.setattr(owner, name, counted)

    async def steps_of(request):
        steps.clear()
        await request
        return dict(steps)

    async with serving(limited("requests = 10\nthreads_per_hour = 10\nturns_per_user = 5")) as chat:
        alice, bob, carol = (as_user(chat, name) for name in ("alice", "bob", "carol"))
        await carol.begin()
        alone = [await steps_of(bob.list()), await steps_of(bob.begin())]
        await until_idle(chat)
        while (await alice.list()).status_code == 200:
            pass
        assert await steps_of(alice.begin()) == {"_ask": 2}  # counted, and asked how long to wait
        flood = [asyncio.create_task(alice.list()) for _ in range(50)]
        assert {response.status_code for response in await asyncio.gather(*flood)} == {429}
        assert [await steps_of(carol.list()), await steps_of(carol.begin())] == alone


async def test_roles_have_limits_of_their_own_and_the_most_generous_one_holds(limited, clock):
    roles = """
[limits.roles.free]
requests = 1
[limits.roles.member]
requests = 4
[limits.roles.staff]
requests = 0
"""
    async with serving(limited("requests = 2", roles=roles)) as chat:

        async def allowed(name, *of_roles):
            user = as_user(chat, name, roles=of_roles)
            return sum([(await user.list()).status_code == 200 for _ in range(6)])

        assert await allowed("a") == 2
        assert await allowed("b", "unknown") == 2
        assert await allowed("c", "free") == 1
        assert await allowed("d", "free", "member", "unknown") == 4
        assert await allowed("e", "staff", "free") == 6


# -- authentication ----------------------------------------------------------------------------------------


async def test_guessing_is_slowed_and_valid_credentials_always_pass(limited, clock, audited):
    async with serving(limited("auth_failures = 2")) as chat:
        alice, mallory = as_user(chat, "alice"), as_user(chat, "alice", secret="y" * 32)
        for _ in range(5):  # who has no credentials does not guess
            assert_refused(await chat.call("threads.list"))
        for _ in range(2):
            assert_refused(await mallory.list())
        clock.value += 15
        for _ in range(3):
            sentence = problem_of(await mallory.list(), "auth_failures", policy="q=2;w=60", wait=45)
            assert (await alice.list()).status_code == 200
            assert_refused(await chat.call("threads.list"))
        assert sentence == (
            "Too many requests with invalid credentials came from this network address. "
            "Please try again in 45 seconds."
        )
        clock.value += 46
        assert_refused(await mallory.list())
    events = Tally(json.loads(line)["event"] for line in audited())
    assert events["throttled"] == 1
    assert events["refused"] == 5 + 2 + 3 + 1


@pytest.fixture
def audited(caplog):
    """Return the lines of the audit log so far."""
    caplog.set_level("INFO", logger="chatrack.audit")
    return lambda: [entry.message for entry in caplog.records if entry.name == "chatrack.audit"]


async def test_sixty_failures_a_minute_are_the_default_and_0_is_no_limit(limited, clock):
    async with serving(limited("")) as chat:
        mallory = as_user(chat, "alice", secret="y" * 32)
        statuses = [(await mallory.list()).status_code for _ in range(62)]
        assert statuses == [401] * 60 + [429] * 2
    async with serving(limited("auth_failures = 0")) as chat:
        mallory = as_user(chat, "alice", secret="y" * 32)
        assert {(await mallory.list()).status_code for _ in range(62)} == {401}


# -- turns and threads -------------------------------------------------------------------------------------


async def test_turns_beyond_the_limit_are_refused_and_store_nothing(limited, upstream):
    async with serving(limited("turns_per_user = 2", model="fake-h2")) as chat:
        alice, bob = as_user(chat, "alice"), as_user(chat, "bob")
        running = [asyncio.create_task(alice.begin()) for _ in range(2)]
        await until(lambda: len([turn for turn in chat.server.turns._running if turn.session]) == 2)
        refused = await asyncio.gather(*[alice.begin("refused") for _ in range(4)])
        for response in refused:
            sentence = problem_of(response, "turns_per_user", policy='q=2;qu="concurrent-requests"', wait=5)
        assert sentence == (
            "Only 2 of your messages can be answered at the same time. Please wait until an answer has ended."
        )
        running.append(asyncio.create_task(bob.begin()))
        await until(lambda: len(chat.server.turns._running) == 3)
        upstream.state.release()
        assert {response.status_code for response in await asyncio.gather(*running)} == {200}
        await until_idle(chat)
        assert len((await alice.get("threads.list", limit=9))["data"]) == 2
        assert (await alice.begin()).status_code == 200


async def test_turns_that_begin_at_the_same_moment_are_counted_one_after_the_other(limited, upstream):
    async with serving(limited("turns_per_user = 1", model="fake-h2")) as chat:
        alice = as_user(chat, "alice")
        tries = [asyncio.create_task(alice.begin()) for _ in range(8)]
        await until(lambda: sum(task.done() for task in tries) == 7)
        upstream.state.release()
        statuses = Tally(response.status_code for response in await asyncio.gather(*tries))
        assert statuses == {200: 1, 429: 7}


async def test_deleted_threads_give_no_room_back(limited, clock):
    async with serving(limited("threads_per_hour = 2")) as chat:
        alice = as_user(chat, "alice")
        for _ in range(2):
            assert (await alice.begin()).status_code == 200
            clock.value += 600
        threads = [thread["id"] for thread in (await alice.get("threads.list", limit=9))["data"]]
        await alice.get("threads.delete", thread_id=threads[0])
        policy = 'q=2;qu="chatrack-threads";w=3600'
        sentence = problem_of(await alice.begin(), "threads_per_hour", policy=policy, wait=2400)
        assert sentence == (
            "Only 2 new conversations can be started in an hour. Please try again in 40 minutes."
        )
        assert len((await alice.get("threads.list", limit=9))["data"]) == 1
        more = await alice.call("threads.add_user_message", thread_id=threads[1], input=message("more"))
        assert more.status_code == 200
        assert (await as_user(chat, "bob").begin()).status_code == 200
        clock.value += 2401
        assert (await alice.begin()).status_code == 200


# -- tokens ------------------------------------------------------------------------------------------------

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def today(monkeypatch):
    """The day on which tokens are used and counted."""
    from chatrack.chat.agents import usage

    current = SimpleNamespace(value=NOON)
    for module in (tokens_of_days, usage):
        monkeypatch.setattr(module, "now", lambda: current.value)
    return current


async def test_the_tokens_of_a_day_end_and_come_back_at_midnight(limited, today):
    async with serving(limited("tokens_per_day = 10")) as chat:
        alice, bob = as_user(chat, "alice"), as_user(chat, "bob")
        assert (await alice.begin()).status_code == 200  # an answer that is begun is not cut off at its end
        policy = 'q=10;qu="chatrack-tokens";w=86400'
        sentence = problem_of(await alice.begin(), "tokens_per_day", policy=policy, wait=12 * 3600)
        assert sentence == (
            "You have used the 10 tokens that you have each day. They are yours again at midnight UTC. "
            "Please try again in 12 hours."
        )
        assert len((await alice.get("threads.list", limit=9))["data"]) == 1
        assert (await bob.begin()).status_code == 200
        today.value = NOON + timedelta(hours=11, minutes=59, seconds=59.5)
        problem_of(await alice.begin(), "tokens_per_day", policy=policy, wait=1)
        today.value = NOON + timedelta(hours=12)
        assert (await alice.begin()).status_code == 200


async def test_the_tokens_of_a_tenant_are_those_of_all_its_users(limited, today):
    async with serving(limited("tenant_tokens_per_day = 10\ntokens_per_day = 1000000")) as chat:
        assert (await as_user(chat, "alice").begin()).status_code == 200
        refused = await as_user(chat, "bob").begin()
        policy = 'q=10;qu="chatrack-tokens";w=86400'
        sentence = problem_of(refused, "tenant_tokens_per_day", policy=policy, wait=12 * 3600)
        assert sentence.startswith("Your organization has used the 10 tokens that it has each day.")
        assert (await as_user(chat, "bob", tenant="other").begin()).status_code == 200


async def test_a_turn_that_passes_the_limit_is_stopped_in_order(limited, upstream, today):
    """The model calls a tool again and again; after the call that passes the limit it is not called once more."""
    async with serving(limited("tokens_per_day = 10", model="fake-loop")) as chat:
        alice = as_user(chat, "alice")
        response = await alice.begin()
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
        [error] = errors_of(events)
        assert events[-1] == error
        assert error["allow_retry"] is False
        assert error["message"].startswith("You have used the 10 tokens that you have each day.")
        thread = events[0]["thread"]["id"]
        await until_idle(chat)
        assert upstream.state.requests == 1
        async with chat.server.store.database.read() as connection:
            usage = await connection.exec_driver_sql("SELECT requests, input_tokens FROM chatrack_usage")
            items = await connection.exec_driver_sql("SELECT type, data FROM chatrack_items ORDER BY seq")
            [(requests, used)], rows = usage.all(), items.all()
        assert requests == 1
        assert used >= 10
        assert rows[0][0] == "user_message"
        assert "function_call_output" in "".join(data for kind, data in rows if kind == "hidden_context_item")
        today.value = NOON + timedelta(hours=12)
        more = await alice.call("threads.add_user_message", thread_id=thread, input=message("go on"))
        assert more.status_code == 200
        assert upstream.state.requests > 1


async def test_a_delta_takes_no_step(limited, monkeypatch):
    steps = Tally()
    for owner, name in (
        (counter.Counter, "wait_for"),
        (tokens_of_days.TokenBudget, "check"),
        (LimitsByRole, "limits_for"),
    ):
        original = getattr(owner, name)

        def counted(self, *args, original=original, name=name):
            steps[name] += 1
            return original(self, *args)

        monkeypatch.setattr(owner, name, counted)
    lines = "requests = 9\nthreads_per_hour = 9\nturns_per_user = 9\ntokens_per_day = 1000000"
    taken = []
    for model in ("fake-n2", "fake-n200"):
        async with serving(limited(lines, model=model)) as chat:
            steps.clear()
            response = await as_user(chat, "alice").begin()
            taken.append(dict(steps))
            assert response.text.count("text_delta") == int(model.removeprefix("fake-n"))
    assert taken[0] == taken[1]
    assert taken[0]["check"] == 2  # before the turn, and before its only call of a model


async def test_what_a_turn_uses_after_midnight_counts_for_the_new_day(today):
    class Store:
        async def tokens_used(self, context, *, since, whole_tenant=False):
            return 90

    [user] = [
        entry.tokens_per_day
        for entry in [LimitsByRole(LimitsTable(tokens_per_day=100)).limits_for(frozenset())]
    ]
    budget = await tokens_of_days.token_budget(Store(), None, user=user, tenant=None)
    budget.check(9)
    with pytest.raises(limits.TooManyRequests):
        budget.check(10)
    today.value = NOON + timedelta(hours=13)
    budget.check(99)
    with pytest.raises(limits.TooManyRequests):
        budget.check(100)


# -- starting ----------------------------------------------------------------------------------------------


async def test_without_redis_a_process_says_that_it_counts_for_itself(limited):
    for lines, names in (
        ("", None),
        ("tokens_per_day = 5\nturns_per_user = 1", None),
        ("requests = 5\nthreads_per_hour = 1", ["requests", "threads_per_hour"]),
    ):
        with capture_logs() as logs:
            async with serving(limited(lines)):
                pass
        said = [entry for entry in logs if entry["event"].startswith("limits are per process")]
        assert [entry["limits"] for entry in said] == ([] if names is None else [names])


def test_a_missing_client_of_redis_is_told_of_with_what_to_do(limited, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "redis" else find(name))
    line = mistake_of(run("check", "--config", str(limited('storage = "redis://:pw@127.0.0.1"'))))
    assert "config.toml: limits.storage: the client of Redis is not installed" in line
    assert "pip install 'chatrack[redis]'" in line
    assert "pw" not in line


@pytest.mark.parametrize("url", ["", "memory://", "redis://", "redis://host:port"])
def test_a_storage_that_is_no_redis_is_refused_at_start(limited, url):
    line = mistake_of(run("check", "--config", str(limited(f'storage = "{url}"'))))
    assert "config.toml: limits.storage: expected a URL such as" in line


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("requests = -1", "limits.requests: expected an `int` >= 0, where 0 means no limit"),
        ("window = 0", "limits.window: expected `int` >= 1"),
        ('on_storage_error = "ignore"', 'limits.on_storage_error: expected one of "allow", "deny"'),
        ("[limits.roles.free]\naddress_requests = 1", "limits.roles.free.address_requests: unknown key"),
    ],
)
def test_a_wrong_limit_names_its_key(limited, line, mistake):
    assert mistake in mistake_of(run("check", "--config", str(limited(line))))


def test_check_shows_what_is_limited(limited):
    done = run("check", "--config", str(limited("requests = 5\ntokens_per_day = 9")))
    assert "auth_failures, requests, tokens_per_day; counted in this process" in done.out


# -- parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("no:address", "no:other", False),
        (None, "192.0.2.1", False),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(first, second, same):
    assert (address_key(first) == address_key(second)) is same


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (60, "1 minute"),
        (61, "61 seconds"),
        (119, "119 seconds"),
        (121, "3 minutes"),
        (3600, "1 hour"),
        (3601, "61 minutes"),
        (7201, "3 hours"),
    ],
)
def test_a_time_is_said_no_shorter_than_it_is(seconds, words):
    assert in_words(seconds) == words


def test_a_user_with_any_combination_of_roles_takes_no_more_memory_than_the_config():
    found = LimitsByRole(LimitsTable(requests=1, roles={"a": RoleLimits(requests=2)}))
    for number in range(50):
        found.limits_for(frozenset({"a", f"r{number}"}))
    assert len(found._known) == 1


async def test_keys_that_are_idle_are_forgotten_in_time(clock):
    windows = MemoryWindows()
    for number in range(100):
        assert await windows.acquire_entry(f"requests/old {number}", 1, 60)
    clock.value += 61
    for number in range(50):
        assert await windows.acquire_entry(f"requests/new {number}", 1, 60)
    assert len(windows) == 50


async def test_more_keys_than_there_is_room_for_push_out_the_one_that_was_idle_longest(clock, monkeypatch):
    monkeypatch.setattr(memory, "MAX_KEYS", 3)
    windows = MemoryWindows()
    for key in ("a", "b", "c", "a", "d"):
        assert await windows.acquire_entry(f"requests/{key}", 2, 60)
    assert len(windows) == 3
    assert not await windows.acquire_entry("requests/a", 2, 60)
    assert await windows.get_moving_window("requests/b", 2, 60) == (clock.value, 0)


async def test_who_goes_on_beyond_a_limit_is_not_forgotten_for_others(clock, monkeypatch):
    monkeypatch.setattr(memory, "MAX_KEYS", 3)
    windows = MemoryWindows()
    assert await windows.acquire_entry("requests/flood", 1, 60)
    for number in range(10):
        assert await windows.acquire_entry(f"requests/{number}", 1, 60)
        assert not await windows.acquire_entry("requests/flood", 1, 60)


async def test_no_more_is_remembered_of_a_key_than_its_window_holds(clock):
    windows = MemoryWindows()
    for number in range(100):
        assert await windows.acquire_entry("requests/ada", 1_000_000, 60)
        clock.value += 10
        [keys] = windows._windows.values()
        assert len(keys["requests/ada"]) == min(number + 1, 6)


async def test_the_keys_of_one_limit_do_not_push_out_those_of_another(clock, monkeypatch):
    monkeypatch.setattr(memory, "MAX_KEYS", 3)
    windows = MemoryWindows()
    assert await windows.acquire_entry("requests/ada", 1, 60)
    for number in range(10):
        assert await windows.acquire_entry(f"address_requests/{number}", 1, 60)
    assert not await windows.acquire_entry("requests/ada", 1, 60)


async def test_a_hit_looks_at_few_keys_and_starts_no_task(clock):
    windows = MemoryWindows()
    for number in range(1000):
        assert await windows.acquire_entry(f"requests/{number}", 1, 60)
    clock.value += 61
    tasks = asyncio.all_tasks()
    for number, left in ((1, 999), (2, 998)):  # one is new, and two that are expired are gone
        assert await windows.acquire_entry(f"requests/new {number}", 1, 60)
        assert len(windows) == left
    assert asyncio.all_tasks() == tasks
