"""`signed_header_auth`: users that a gateway has authenticated."""

import hashlib
import hmac
import json
import time

import pytest

from tests.support.auth import assert_refused, auth_config, list_threads, who_is
from tests.support.serving import serving
from tests.support.tokens import part

SECRET, SECOND = "g" * 32, "h" * 40
WINDOW = 1000
SCHEME = "Chatrack-Signature"
USER, TIMESTAMP, SIGNATURE = "X-Chatrack-User", "X-Chatrack-Timestamp", "X-Chatrack-Signature"


pytestmark = pytest.mark.usefixtures("made_tables", "who")


@pytest.fixture
def configure(write_config):
    """Write the config of a server behind a gateway."""

    def configure_with(secret=f'"{SECRET}"'):
        table = f"[plugins.signed_header_auth]\nsecret = {secret}\nwindow = {WINDOW}"
        return write_config(auth_config("signed_header_auth", plugins=table))

    return configure_with


def signed(user=None, *, secret=SECRET, timestamp=None, age=0, version="v1", encoded=None):
    """Return the headers of a gateway. They are computed here, not by the code that checks them."""
    encoded = part({"id": "alice"} if user is None else user) if encoded is None else encoded
    timestamp = str(int(time.time()) - age) if timestamp is None else timestamp
    message = f"{version}\n{timestamp}\n{encoded}".encode("latin-1")
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return {USER: encoded, TIMESTAMP: timestamp, SIGNATURE: f"{version}={digest}"}


def raw(headers):
    """Return headers as bytes, for those beyond ASCII."""
    return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


async def refused(chat, headers):
    assert_refused(await list_threads(chat.http, headers), SCHEME)


async def test_the_user_of_the_gateway_is_let_in(configure):
    user = {
        "id": "älice", "tenant_id": "acme", "name": "Ann", "email": "a@b.example", "locale": "de", "roles": ["b", "a"],
    }  # fmt: skip
    async with serving(configure()) as chat:
        assert (await list_threads(chat.http, signed())).status_code == 200
        assert await who_is(chat.http, signed(user)) == {**user, "roles": ["a", "b"], "state": {}}
        assert (await who_is(chat.http, signed()))["tenant_id"] == "default"
        padded = signed(encoded=part({"id": "alice"}) + "=" * (-len(part({"id": "alice"})) % 4))
        assert (await list_threads(chat.http, padded)).status_code == 200


async def test_a_signature_is_accepted_within_the_window_only(configure):
    async with serving(configure()) as chat:
        for age in (0, 5, WINDOW // 2, -WINDOW // 2):
            assert (await list_threads(chat.http, signed(age=age))).status_code == 200, age
        for age in (WINDOW + 1, 10 * WINDOW, -2 * WINDOW, int(time.time()) + 5):
            await refused(chat, signed(age=age))


async def test_a_timestamp_that_is_no_number_of_seconds_is_refused(configure):
    async with serving(configure()) as chat:
        now = str(int(time.time()))
        bad = [
            "", "x", "-1", f"+{now}", f"{now}.0", f"{now}000", "1e9", "nan", "inf", "0x10", "\xb2", f"{now} {now}",
            "9" * 400, "9" * 5000, f"1_{now}", f"{now},",
        ]  # fmt: skip
        for timestamp in bad:
            await refused(chat, raw(signed(timestamp=timestamp)))


async def test_each_header_is_needed_once(configure):
    async with serving(configure()) as chat:
        good = signed()
        for name in good:
            await refused(chat, {other: value for other, value in good.items() if other != name})
            await refused(chat, [*good.items(), (name, good[name])])
            await refused(chat, [(name, "x"), *good.items()])
            await refused(chat, {**good, name: ""})
        assert_refused(await list_threads(chat.http), SCHEME)


async def test_what_was_changed_after_signing_is_refused(configure):
    async with serving(configure()) as chat:
        good = signed()
        await refused(chat, {**good, USER: part({"id": "bob"})})
        await refused(chat, {**good, USER: good[USER] + "="})
        await refused(chat, {**good, TIMESTAMP: str(int(good[TIMESTAMP]) - 1)})
        await refused(chat, {**good, TIMESTAMP: f"0{good[TIMESTAMP]}"})
        await refused(
            chat, {**good, SIGNATURE: good[SIGNATURE][:-1] + ("0" if good[SIGNATURE][-1] != "0" else "1")}
        )
        await refused(chat, {**good, SIGNATURE: good[SIGNATURE][3:]})
        await refused(chat, {**good, SIGNATURE: good[SIGNATURE].upper()})
        await refused(chat, {**good, SIGNATURE: good[SIGNATURE][:-2]})
        await refused(chat, raw({**good, SIGNATURE: "v1=\xe4"}))
        await refused(chat, signed(version="v2"))
        await refused(chat, signed(secret=SECOND))
        await refused(chat, signed(secret=""))


async def test_all_secrets_of_a_list_are_accepted(configure):
    async with serving(configure(f'["{SECOND}", "{SECRET}"]')) as chat:
        for secret in (SECRET, SECOND):
            assert (await list_threads(chat.http, signed(secret=secret))).status_code == 200
        await refused(chat, signed(secret="i" * 32))


BAD_USERS = {
    "an unknown field": {"id": "alice", "admin": True},
    "another name for a field": {"id": "alice", "tenant": "acme"},
    "no id": {"tenant_id": "acme"},
    "an empty id": {"id": ""},
    "a number as id": {"id": 5},
    "a long id": {"id": "a" * 256},
    "NUL": {"id": "a\0"},
    "half a character": {"id": "a\ud800"},
    "an empty tenant": {"id": "alice", "tenant_id": ""},
    "no tenant": {"id": "alice", "tenant_id": None},
    "roles as text": {"id": "alice", "roles": "admin"},
    "a list": "[]",
    "a text": '"alice"',
    "nothing": "",
    "no JSON": "{id: alice}",
    "not UTF-8": b'{"id": "\xff"}',
    "deep": "[" * 5000,
    "deep in a field": '{"id": "alice", "x": ' + "[" * 5000 + "]" * 5000 + "}",
    "huge": {"id": "alice", "name": "x" * 20_000},
}


@pytest.mark.parametrize("name", BAD_USERS)
async def test_a_signed_user_that_cannot_be_used_is_refused(name, configure):
    user = BAD_USERS[name]
    async with serving(configure()) as chat:
        await refused(chat, signed(json.dumps(user) if isinstance(user, dict) else user))


@pytest.mark.parametrize("encoded", ["x", "?", "\xe4\xf6", "e30", part({"id": "a"}) + "A"])
async def test_a_signed_user_in_another_encoding_is_refused(encoded, configure):
    async with serving(configure()) as chat:
        await refused(chat, raw(signed(encoded=encoded)))


async def test_the_secret_is_not_logged(configure, caplog):
    caplog.set_level("DEBUG")
    async with serving(configure()) as chat:
        await list_threads(chat.http, signed())
        await refused(chat, signed(secret=SECOND))
    assert SECRET not in caplog.text
