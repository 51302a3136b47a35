"""`api_keys_auth`, and `chatrack key`."""

import re

import pytest

from chatrack.interfaces import generate_api_key, hash_api_key
from tests.support.auth import assert_refused, auth_config, bearer, list_threads, who_is
from tests.support.commands import run
from tests.support.serving import serving

KEY, OTHER = generate_api_key(), generate_api_key()


pytestmark = pytest.mark.usefixtures("who")


@pytest.fixture
def config(write_config):
    """The config of a server with two keys."""
    return write_config(
        auth_config(
            "api_keys_auth",
            plugins=f"""
[plugins.api_keys_auth]
keys = [
    {{ hash = "{hash_api_key(KEY)}", user = "reporter", tenant = "acme", roles = ["reports", "read"] }},
    {{ hash = "{hash_api_key(OTHER)}", user = "cron" }},
]
""",
        )
    )


async def test_each_key_stands_for_its_user(config):
    async with serving(config) as chat:
        assert (await list_threads(chat.http, bearer(KEY))).status_code == 200
        user = await who_is(chat.http, bearer(KEY))
        assert (user["id"], user["tenant_id"], user["roles"]) == ("reporter", "acme", ["read", "reports"])
        user = await who_is(chat.http, bearer(OTHER))
        assert (user["id"], user["tenant_id"], user["roles"]) == ("cron", "default", [])


async def test_everything_else_is_refused(config):
    async with serving(config) as chat:
        bad = [
            generate_api_key(), KEY[:-1], f"{KEY}x", KEY.upper(), KEY.replace("ctk_", ""), KEY.replace("ctk_", "cks_"),
            "ctk_", "ctk_x", hash_api_key(KEY), f"{KEY} {KEY}", f"ctk_{'x' * 20_000}", "a.b.c", f"{KEY}.b.c",
        ]  # fmt: skip
        for key in bad:
            assert_refused(await list_threads(chat.http, bearer(key)))
        assert_refused(await list_threads(chat.http, {b"authorization": b"Bearer ctk_\xe4\xff"}))
        for headers in ({}, {"authorization": KEY}, {"authorization": f"Basic {KEY}"}, {"x-api-key": KEY}):
            assert_refused(await list_threads(chat.http, headers))
        assert_refused(await list_threads(chat.http, [("authorization", f"Bearer {KEY}")] * 2))


async def test_keys_are_not_logged(config, caplog):
    caplog.set_level("DEBUG")
    unknown = generate_api_key()
    async with serving(config) as chat:
        await list_threads(chat.http, bearer(KEY))
        await list_threads(chat.http, bearer(unknown))
    for key in (KEY, unknown):
        assert key not in caplog.text


async def test_a_key_that_the_command_makes_lets_its_user_in(write_config):
    outcome = run("key")
    assert outcome.code == 0, outcome.err
    [key] = re.findall(r"^key: +(\S+)$", outcome.out, re.MULTILINE)
    table = outcome.out[outcome.out.index("[plugins.api_keys_auth]") :].replace("…", "script")
    assert key.startswith("ctk_")
    assert key not in table
    async with serving(write_config(auth_config("api_keys_auth", plugins=table))) as chat:
        assert (await who_is(chat.http, bearer(key)))["id"] == "script"


def test_every_key_that_the_command_makes_is_another_one():
    keys = {run("key").out.splitlines()[0] for _ in range(5)}
    assert len(keys) == 5
