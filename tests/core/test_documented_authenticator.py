"""The authenticator of docs/plugins.md, installed as a third party's plugin: its tickets, key, agent, state, tool and routes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run
from tests.support.plugins import Site
from tests.support.serving import errors_of, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
[SOURCE] = re.findall(r"^```python\n(# acme_tickets\.py\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def config(site: Site, upstream: Any, write_config: Callable[..., Path]) -> Path:
    site.install_source("acme_tickets", SOURCE, target="AcmeTicketsPlugin", module="acme_tickets")
    return write_config(f"""
enabled = ["acme_tickets", "sqlite_store", "openai_provider"]
[chat]
agent = "host"
model = "openai/fake"
[agents.host]
instructions = "You greet guests."
[plugins.sqlite_store]
path = "chat.db"
[plugins.openai_provider]
api_key = "sk-test"
base_url = "{upstream.url}"
""")


def ticket(config: Path, user: str = "ada", **options: str) -> str:
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    outcome = run("token", "--config", str(config), "--user", user, *words)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out.strip()


async def test_a_ticket_opens_the_chat_with_the_agent_and_the_state_that_it_is_bound_to(config, upstream):
    token = ticket(config)
    async with serving(config) as chat:
        chat.http.headers["authorization"] = f"Bearer {token}"
        _, events = await chat.create("hello")
        assert not errors_of(events)
        assert 'You serve table "7".' in str(upstream.state.log[-1]["body"])
        _, events = await chat.create('call order {"dish": "soup"}')
        assert "soup for table 7" in str(upstream.state.log[-1]["body"])
        mine = await chat.http.get("/tickets/mine")
        assert (mine.status_code, mine.json()) == (200, {"user": "ada", "table": "7"})


async def test_tickets_of_two_tenants_open_different_chats(config):
    acme, globex = ticket(config, tenant="acme"), ticket(config, tenant="globex")
    async with serving(config) as chat:
        chat.http.headers["authorization"] = f"Bearer {acme}"
        thread, _ = await chat.create("hello")
        chat.http.headers["authorization"] = f"Bearer {globex}"
        assert (await chat.call("threads.get_by_id", thread_id=thread)).status_code == 404


async def test_what_is_no_valid_ticket_is_refused(config):
    valid, ended = ticket(config), ticket(config, hours="0.0000001")
    async with serving(config) as chat:
        for token in (None, "tkt_", "tkt_x.y", valid[:-1], f"{valid}0", valid.removeprefix("tkt_")):
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            refused = await chat.http.get("/tickets/mine", headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), token
        refused = await chat.http.get("/tickets/mine", headers={"authorization": f"Bearer {ended}"})
        assert refused.status_code == 401


async def test_a_ticket_that_is_issued_before_the_first_start_is_accepted_after_it(config):
    token = ticket(config)
    assert (config.parent / "data" / "secret_key").exists()
    async with serving(config) as chat:
        mine = await chat.http.get("/tickets/mine", headers={"authorization": f"Bearer {token}"})
        assert mine.status_code == 200
