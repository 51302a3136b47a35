"""The plugin `guardrails`: bounds, patterns, secrets and moderation."""

import json

import pytest

from chatrack.builtin.guardrail.secrets import MASK
from tests.support.guardrails import deltas_of, notices_of, stored_in, wire_of
from tests.support.serving import answer_of, errors_of, message, serving, text_of


@pytest.fixture
def guarded(configure):
    """Write a config whose agent has guardrails and, as its instructions, what its model says."""

    def write(guardrails, *, says="You help.", extra="", **options):
        tools = f"[]\nguardrails = {json.dumps(guardrails)}"
        enabled = '["sqlite_store", "openai_provider", "guardrails"]'
        path = configure(tools=tools, enabled=enabled, extra=extra, **options)
        path.write_text(path.read_text().replace('"You help."', json.dumps(says)))
        return path

    return write


KEY = "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vX7"  # pragma: allowlist secret
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq. \nQWERTZ9. uiop\n-----END RSA PRIVATE KEY-----"  # pragma: allowlist secret


@pytest.mark.parametrize("model", ["fake", "fake-k3", "fake-split"])
async def test_secrets_are_masked_wherever_deltas_and_sentences_are_cut(guarded, model):
    says = f"The key is {KEY}. Then\n{PEM}\nand Bearer\nabcdefgh12345678.ijk done {KEY}"
    config = guarded(["secrets"], says=says, model=model)
    async with serving(config) as chat:
        thread, events = await chat.create("instructions?")
        wanted = f"The key is {MASK}. Then\n{MASK}\nand Bearer\n{MASK} done {MASK}"
        assert " ".join(answer_of(events).split()) == " ".join(wanted.split())
        assert "".join(deltas_of(events)) == answer_of(events)
        assert deltas_of(events)[0].startswith(f"The key is {MASK}.")
        assert notices_of(events) == ["A key or token in this answer was hidden."]
        assert await chat.answers(thread) == [answer_of(events)]
    for part in (KEY, KEY[:12], "MIIE", "QWERTZ", "abcdefgh1234"):
        assert part not in wire_of(events)
        # config.toml is in the instructions only, which are never stored
        assert part not in stored_in(config)


async def test_secrets_of_users_never_reach_store_title_model_or_log(guarded, upstream, capfd):
    config = guarded(["secrets"])
    async with serving(config) as chat:
        _, events = await chat.create(f"My key is {KEY} ok?")
        assert events[0]["thread"]["title"] == f"My key is {MASK} ok?"
        assert notices_of(events) == ["A key or token in your message was hidden before it was sent on."]
    assert KEY not in json.dumps(list(upstream.state.log))
    assert KEY not in stored_in(config)
    assert KEY not in capfd.readouterr().err


def tag(text):
    return {"type": "input_tag", "id": "t1", "text": text, "data": {}}


@pytest.mark.parametrize("first", ["text", "tag"])
async def test_a_secret_in_several_parts_of_a_message_reaches_no_model(guarded, upstream, first):
    config = guarded(["secrets"])
    async with serving(config) as chat:
        given = message(f"{KEY[:10]} AKIA0123")
        if first == "tag":  # in which nothing can be replaced without the other part
            given["content"] = [tag("AKIA0123")]
        given["content"] += [{"type": "input_text", "text": "456789ABCDEF"}, tag(KEY)]
        events = await chat.events("threads.create", input=given)
        if first == "tag":
            assert [event["type"] for event in events] == ["error"]
        else:
            assert errors_of(events) == []
            assert text_of((await chat.items(events[0]["thread"]["id"]))[0]).endswith(MASK)
    sent = json.dumps(list(upstream.state.log))
    for stored in (sent, stored_in(config)):
        assert "AKIA" not in stored
        assert KEY not in stored


async def test_messages_that_are_too_long_or_blocked_are_refused(guarded, upstream):
    extra = """
[plugins.guardrails]
max_input_chars = 40
blocked_patterns = ['(?i)\\bproject\\s+xanadu\\b']
"""
    config = guarded(["max_input_chars", "blocked_patterns"], says="About Project\nXanadu.", extra=extra)
    async with serving(config) as chat:
        events = await chat.events("threads.create", input=message("x" * 41))
        assert "40 characters" in events[0]["message"]
        given = message("x" * 30, quoted_text="y" * 20)
        assert errors_of(await chat.events("threads.create", input=given))
        events = await chat.events("threads.create", input=message("tell me: PROJECT Xanadu"))
        assert [event["type"] for event in events] == ["error"]
        assert upstream.state.stats()["requests"] == 0
        _, events = await chat.create("instructions?")
        assert "blocked" in errors_of(events)[0]["message"]
        assert deltas_of(events) == []


async def test_a_pattern_that_would_take_for_ever_elsewhere_is_matched_at_once(guarded):
    extra = "[plugins.guardrails]\nblocked_patterns = ['^(a+)+$']\n"
    async with serving(guarded(["blocked_patterns"], extra=extra)) as chat:
        _, events = await chat.create("a" * 5000 + "!")
        assert errors_of(events) == []


@pytest.mark.parametrize(
    ("settings", "message_trips", "answer_trips"),
    [
        ("", True, True),
        ('applies_to = "input"', True, False),
        ('applies_to = "output"', False, True),
        ("categories = { violence = 0.5 }", True, True),
        ("categories = { violence = 0.95, hate = 0.1 }", False, False),
    ],
)
async def test_moderation_trips_on_what_the_endpoint_flags(
    guarded, upstream, settings, message_trips, answer_trips
):
    extra = f"""
[plugins.guardrails.moderation]
api_key = "sk-moderation"
base_url = "{upstream.url}"
model = "fake"
{settings}
"""
    config = guarded(["moderation"], says="One. flag:violence", extra=extra)
    async with serving(config) as chat:
        events = await chat.events("threads.create", input=message("flag:violence"))
        assert bool(errors_of(events)) is message_trips
        _, events = await chat.create("instructions?")
        assert bool(errors_of(events)) is answer_trips
        assert bool(deltas_of(events)) is not answer_trips


@pytest.mark.parametrize(
    ("model", "passes"),
    [("fake-e500-t1", True), ("fake-e500", False), ("fake-f60000", False), ("gpt", False)],
)
async def test_moderation_that_does_not_answer_lets_nothing_pass(guarded, upstream, model, passes, capfd):
    extra = f"""
[plugins.guardrails]
timeout = 3
[plugins.guardrails.moderation]
api_key = "sk-moderation"
base_url = "{upstream.url}"
model = "{model}"
max_retries = 1
applies_to = "input"
"""
    async with serving(guarded(["moderation"], extra=extra)) as chat:
        events = await chat.events("threads.create", input=message("Hello."))
        assert (not errors_of(events)) is passes
    assert "sk-moderation" not in capfd.readouterr().err
