"""From config.toml to agents, tools, authenticators and lifespans: what names mean and what is built from them."""

import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from agents import Agent, RunContextWrapper
from chatkit.types import ThreadMetadata

from chatrack import ConfigError, RequestContext, TurnContext, User
from chatrack.assembly import Assembly, assemble, running
from tests.support.plugins import Site
from tests.support.serving import Chat, serving

TOOLS = """
@hookimpl
def tools(self):
    @function_tool
    def {0}() -> str:
        "Do it."
        return "done"
    @function_tool
    def {1}() -> str:
        "Do it."
        return "done"
    return [{0}, {1}]
"""

AGENTS = """
@hookimpl
def agents(self):
    return [
        AgentSpec(
            name="croupier",
            instructions="Roll.",
            description="Rolls dice.",
            model="openai/from-plugin",
            tools=["dice.roll"],
            handoffs=["banker"],
            model_settings={"temperature": 0.5},
            max_turns=3,
        ),
        AgentSpec(name="banker", instructions="Count."),
    ]
"""


@pytest.fixture
def site(site):
    site.install("dice", TOOLS.format("roll", "shake"))
    site.install("drums", TOOLS.format("beat", "roll"))
    site.install("casino", AGENTS)
    return site


@pytest.fixture
def build(tmp_path: Path, site: Site):
    """Assemble from a few lines; the model is never called."""

    def build_with(
        *plugins: str, chat: str = "", extra: str = "", server: str = "", **environ: str
    ) -> Assembly:
        return assemble(write(tmp_path, *plugins, chat=chat, extra=extra, server=server), environ=environ)

    return build_with


def write(
    folder: Path, *plugins: str, chat: str = "", extra: str = "", server: str = "", key: str = "k"
) -> Path:
    path = folder / "config.toml"
    path.write_text(f"""
enabled = {json.dumps(["sqlite_store", "openai_provider", *plugins])}
[server]
{server}
[chat]
model = "openai/default"
{chat}
[plugins.openai_provider]
{f'api_key = "{key}"' if key else ""}
{extra}
""")
    return path


def entry_tools(assembly: Assembly) -> list[str]:
    return [tool.name for tool in assembly.default_agent.agent.tools]


# -- names ---------------------------------------------------------------------------------------------


def test_addresses_are_the_plugin_and_the_name(build):
    assembly = build("dice", "drums", "casino", chat='agent = "casino.croupier"')
    assert set(assembly.tools) == {"dice.roll", "dice.shake", "drums.beat", "drums.roll"}
    assert set(assembly.agents) == {"casino.croupier", "casino.banker"}
    assert assembly.default_agent.address == "casino.croupier"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["dice.roll"], ["roll"]),
        (["shake"], ["shake"]),
        (["dice.*"], ["roll", "shake"]),
        (["dice.*", "dice.roll", "roll*e", "beat"], None),
        (["*.beat"], ["beat"]),
        (["*.[bs]*"], ["shake", "beat"]),
        (["d*.shak?"], ["shake"]),
        (["beat", "dice.*"], ["beat", "roll", "shake"]),
        (["dice.*", "dice.roll", "shake"], ["roll", "shake"]),
        ([], []),
    ],
)
def test_tools_are_chosen_by_address_bare_name_or_glob(build, patterns, names):
    extra = f'[agents.helper]\ninstructions = "Help."\ntools = {json.dumps(patterns)}'
    if names is None:
        with pytest.raises(ConfigError, match="matches no tool"):
            build("dice", "drums", extra=extra)
        return
    assembly = build("dice", "drums", chat='agent = "helper"', extra=extra)
    assert entry_tools(assembly) == names


def test_the_model_sees_the_bare_name_of_a_tool(build):
    assembly = build(
        "dice", chat='agent = "h"', extra='[agents.h]\ninstructions = "x"\ntools = ["dice.roll"]'
    )
    [tool] = assembly.default_agent.agent.tools
    assert tool is assembly.tools["dice.roll"]
    assert tool.name == "roll"


# -- agents --------------------------------------------------------------------------------------------


def test_a_plugins_agent_is_bound_as_it_says(build):
    croupier = build("dice", "casino", chat='agent = "croupier"').default_agent
    assert croupier.model == "openai/from-plugin"
    assert croupier.spec.max_turns == 3
    assert croupier.agent.name == "croupier"
    assert croupier.agent.instructions == "Roll."
    assert croupier.agent.handoff_description == "Rolls dice."
    assert croupier.agent.model_settings.temperature == 0.5
    assert [tool.name for tool in croupier.agent.tools] == ["roll"]
    assert [agent.name for agent in croupier.agent.handoffs] == ["banker"]


@pytest.mark.parametrize("name", ["croupier", '"casino.croupier"'])
@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('instructions = "Roll twice."', "instructions", "Roll twice."),
        ('description = "Rolls."', "description", "Rolls."),
        ('model = "openai/other"', "model", "openai/other"),
        ('tools = ["shake"]', "tools", ["shake"]),
        ("tools = []", "tools", []),
        ("handoffs = []", "handoffs", []),
        ("model_settings = { top_p = 0.1 }", "model_settings", {"top_p": 0.1}),
        ("max_turns = 5", "max_turns", 5),
    ],
)
def test_a_table_overrides_one_field_of_a_plugins_agent_and_no_other(build, name, line, field, value):
    before = build("dice", "casino", chat='agent = "croupier"').default_agent.spec
    after = build(
        "dice", "casino", chat='agent = "croupier"', extra=f"[agents.{name}]\n{line}"
    ).default_agent.spec
    assert getattr(after, field) == value
    for other in before.__struct_fields__:
        assert other == field or getattr(after, other) == getattr(before, other)


def test_an_overridden_field_reaches_the_bound_agent(build):
    extra = '[agents.croupier]\ninstructions = "Shake."\ntools = ["dice.*"]\nmodel_settings = { temperature = 1.5 }'
    agent = build("dice", "casino", chat='agent = "croupier"', extra=extra).default_agent.agent
    assert agent.instructions == "Shake."
    assert [tool.name for tool in agent.tools] == ["roll", "shake"]
    assert agent.model_settings.temperature == 1.5


def test_a_table_with_instructions_defines_an_agent(build):
    extra = '[agents.guide]\ninstructions = "Guide."\ntools = ["beat"]\nhandoffs = ["casino.banker"]'
    assembly = build("dice", "drums", "casino", chat='agent = "guide"', extra=extra)
    assert assembly.default_agent.address == "guide"
    assert assembly.default_agent.agent.instructions == "Guide."
    assert assembly.default_agent.spec.max_turns == 10
    assert set(assembly.agents) == {"guide", "casino.banker"}


def test_a_reference_that_is_unset_overrides_nothing(build):
    extra = '[agents.croupier]\nmodel = { env = "CROUPIER_MODEL" }'
    kept = build("dice", "casino", chat='agent = "croupier"', extra=extra)
    assert kept.default_agent.model == "openai/from-plugin"
    changed = build("dice", "casino", chat='agent = "croupier"', extra=extra, CROUPIER_MODEL="openai/env")
    assert changed.default_agent.model == "openai/env"


def test_a_pack_can_hand_off_to_another_packs_agent(build, site):
    body = (
        "@hookimpl\ndef agents(self):\n"
        "    return [AgentSpec(name='door', instructions='x', handoffs=['casino.croupier'])]"
    )
    site.install("lobby", body)
    assembly = build("lobby", "casino", "dice", chat='agent = "door"')
    assert set(assembly.agents) == {"lobby.door", "casino.croupier", "casino.banker"}


def test_handoffs_may_go_round_in_circles(build):
    extra = "\n".join(
        f'[agents.{name}]\ninstructions = "x"\nhandoffs = ["{target}"]'
        for name, target in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    agents = build(chat='agent = "a"', extra=extra).agents
    assert set(agents) == {"a", "b", "c"}
    assert agents["a"].agent.handoffs == [agents["b"].agent]
    assert agents["c"].agent.handoffs[0].handoffs[0].handoffs[0] is agents["c"].agent


# -- the entry agent -----------------------------------------------------------------------------------


def test_the_only_agent_meets_the_user(build):
    assembly = build("dice", "drums", extra='[agents.solo]\ninstructions = "x"')
    assert assembly.default_agent.address == "solo"
    assert entry_tools(assembly) == []


def test_among_several_agents_a_built_in_one_with_all_tools_meets_the_user(build):
    assembly = build("dice", "casino")
    assert assembly.default_agent.address == "assistant"
    assert entry_tools(assembly) == ["roll", "shake"]
    assert set(assembly.agents) == {"assistant"}


def test_without_any_agent_a_built_in_one_with_all_tools_meets_the_user(build):
    assembly = build("dice")
    assert assembly.default_agent.address == "assistant"
    assert entry_tools(assembly) == ["roll", "shake"]


def test_without_agents_and_tools_the_built_in_one_just_talks(build):
    assembly = build()
    assert assembly.default_agent.address == "assistant"
    assert entry_tools(assembly) == []
    assert assembly.default_agent.model == "openai/default"


# -- models --------------------------------------------------------------------------------------------


def test_an_agent_without_a_model_uses_that_of_the_chat(build):
    assembly = build("casino", "dice", chat='agent = "croupier"')
    assert assembly.agents["casino.banker"].model == "openai/default"
    assert assembly.agents["casino.banker"].agent.model.model == "default"
    assert assembly.agents["casino.croupier"].agent.model.model == "from-plugin"


def test_a_provider_alone_means_its_default_model(build):
    extra = '[agents.a]\ninstructions = "x"\nmodel = "openai"'
    assembly = build(extra=extra, OPENAI_DEFAULT_MODEL="from-environment")
    assert assembly.default_agent.agent.model.model == "from-environment"


def test_a_models_name_may_hold_slashes(build):
    assembly = build(extra='[agents.a]\ninstructions = "x"\nmodel = "openai/vendor/model:free"')
    assert assembly.default_agent.agent.model.model == "vendor/model:free"


def test_create_model_makes_any_model_and_by_default_that_of_the_first_agent(build):
    assembly = build("casino", "dice", chat='agent = "croupier"')
    assert assembly.create_model().model == "from-plugin"
    assert assembly.create_model("openai/another").model == "another"
    for name, part in (("opnai", "openai"), ("openai/", "slash"), ("", "provider")):
        if name:
            with pytest.raises(ConfigError, match=part):
                assembly.create_model(name)


def test_an_agent_that_nobody_reaches_needs_no_key(tmp_path, site):
    body = """
@hookimpl
def model_providers(self):
    from agents import OpenAIChatCompletionsModel
    import openai
    class Acme(chatrack.ModelProvider):
        def get_model(self, model_name):
            return OpenAIChatCompletionsModel(model_name, openai.AsyncOpenAI(api_key="x", base_url="http://x"))
    return {"acme": Acme()}
"""
    site.install("acme", body)
    extra = '[agents.near]\ninstructions = "x"\nmodel = "acme/one"\n[agents.far]\ninstructions = "x"'
    path = write(tmp_path, "acme", chat='agent = "near"', extra=extra, key="")
    assembly = assemble(path, environ={})
    assert set(assembly.agents) == {"near"}
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        assemble(write(tmp_path, "acme", chat='agent = "far"', extra=extra, key=""), environ={})


# -- instructions --------------------------------------------------------------------------------------


async def instructions_for(assembly: Assembly, user: User) -> str | None:
    async def emit(_event: Any) -> None:
        raise AssertionError("nothing is sent")

    thread = ThreadMetadata(id="thr_1", created_at=dt.datetime.now(dt.UTC))
    request = RequestContext(user=user, request_id="req_1")
    turn = TurnContext(request=request, thread=thread, turn_id="trn_1", emit=emit)
    agent: Agent[TurnContext] = assembly.default_agent.agent
    return await agent.get_system_prompt(RunContextWrapper(turn))


async def test_placeholders_are_filled_in_for_the_user_of_the_turn(build):
    text = "I {user.id}, N {user.name}, E {user.email}, T {user.tenant_id}, D {today}."
    assembly = build(extra=f'[agents.a]\ninstructions = "{text}"')
    today = dt.datetime.now(dt.UTC).date().isoformat()
    ada = User(id="u1", tenant_id="acme", name="Ada", email="ada@example.com")
    expected = f'I "u1", N "Ada", E "ada@example.com", T "acme", D {today}.'
    assert await instructions_for(assembly, ada) == expected
    expected = f'I "u2", N "u2", E null, T "default", D {today}.'
    assert await instructions_for(assembly, User(id="u2")) == expected


async def test_other_braces_and_what_the_user_is_called_are_left_as_they_are(build):
    text = "Answer as {json}, {{user.id}}, { user.id }, {user}, {0}, %s, {todays}: {user.name}"
    assembly = build(extra=f'[agents.a]\ninstructions = "{text}"')
    filled = await instructions_for(assembly, User(id="u1", name="{user.tenant_id} \\1"))
    assert (
        filled == 'Answer as {json}, {"u1"}, { user.id }, {user}, {0}, %s, {todays}: "{user.tenant_id} \\\\1"'
    )


# -- plugins -------------------------------------------------------------------------------------------


def test_only_enabled_plugins_are_imported(build, site):
    build("dice")
    assert site.imported("dice") is not None
    assert site.imported("drums") is None
    assert site.imported("casino") is None


COUNTED = """
@hookimpl
def tools(self, database):
    calls.append(("tools", database))
    return []
@hookimpl
def authenticators(self, database):
    calls.append(("authenticators", database))
    return []
@hookimpl
def agents(self):
    calls.append(("agents", None))
    return []
@hookimpl
def actions(self):
    calls.append(("actions", None))
@hookimpl
def model_providers(self):
    calls.append(("model_providers", None))
    return {}
@hookimpl
def routes(self):
    calls.append(("routes", None))
    return []
@hookimpl
def lifespan(self):
    calls.append(("lifespan", None))
    return contextlib.nullcontext()
"""


async def test_each_hook_is_called_once_and_gets_the_stores_database(build, site, tmp_path):
    site.install("counted", COUNTED, head="calls = []")
    assembly = build("counted")
    module = site.imported("counted")
    assert module is not None
    names = [name for name, _ in module.calls]
    assert sorted(names) == [
        "actions", "agents", "authenticators", "lifespan", "model_providers", "routes", "tools",
    ]  # fmt: skip
    for name, database in module.calls:
        assert name not in {"tools", "authenticators"} or database is assembly.store.database
    async with running(assembly):
        pass
    assert len(module.calls) == len(names)


def test_settings_reach_the_plugin(build, site):
    site.install(
        "needy",
        "class Settings(chatrack.Settings):\n    account: str\n    size: int = 3",
        head="seen = []",
        init="seen.append(settings)",
    )
    build("needy", extra='[plugins.needy]\naccount = { env = "ACCOUNT" }', ACCOUNT="a1")
    [settings] = site.imported("needy").seen
    assert (settings.account, settings.size) == ("a1", 3)


def test_a_plugin_without_settings_takes_none(build, site):
    with pytest.raises(ConfigError, match=r"plugins\.dice\.sides: unknown key"):
        build("dice", extra="[plugins.dice]\nsides = 6")
    assert build("dice", extra="[plugins.dice]").notes == []


def test_hooks_may_return_nothing(build, site):
    site.install(
        "silent",
        "\n".join(
            f"@hookimpl\ndef {hook}(self):\n    pass" for hook in ("store", "tools", "routes", "lifespan")
        ),
    )
    assert build("silent").tools == {}


LIFE = """
@hookimpl
def lifespan(self):
    return self.live()
@contextlib.asynccontextmanager
async def live(self):
    with Path({proof!r}).open("a") as proof:
        print("+{name}", file=proof, flush=True)
        yield
        print("-{name}", file=proof, flush=True)
"""


async def test_lifespans_are_entered_in_order_and_left_in_reverse(build, site, tmp_path):
    proof = tmp_path / "proof"
    for name in ("a", "b", "c"):
        site.install(f"life_{name}", LIFE.format(proof=str(proof), name=name))
    assembly = build("life_c", "life_a", "life_b")
    assert not proof.exists()
    async with running(assembly):
        assert proof.read_text().split() == ["+c", "+a", "+b"]
        await assembly.store.health()
    assert proof.read_text().split() == ["+c", "+a", "+b", "-b", "-a", "-c"]


async def test_a_decorated_lifespan_is_one_too(build, site):
    body = "@hookimpl\n@contextlib.asynccontextmanager\nasync def lifespan(self):\n    lived.append(1)\n    yield"
    site.install("short", body, head="lived = []")
    async with running(build("short")):
        assert site.imported("short").lived == [1]


# -- over HTTP -----------------------------------------------------------------------------------------

DOOR = """
@hookimpl
def authenticators(self):
    class Door(chatrack.Authenticator):
        scheme = "{scheme}"
        async def authenticate(self, connection):
            asked.append("{scheme}")
            value = connection.headers.get("authorization", "")
            kind, _, name = value.partition(" ")
            if kind != "{scheme}":
                return None
            if name == "bad":
                raise Unauthenticated("This ticket is not valid.")
            return User(id=name, tenant_id="{scheme}")
    return [Door()]
"""

ROUTES = """
@hookimpl
def routes(self):
    @get("/me")
    async def me(request: chatrack_request) -> dict[str, str]:
        return {"user": request.user.id, "tenant": request.user.tenant_id}
    @get("/hello", opt={"public": True})
    async def hello() -> str:
        return "hello"
    return [me, hello]
"""
ROUTES_HEAD = "from litestar import Request\nchatrack_request = Request[Any, Any, Any]"


@contextlib.asynccontextmanager
async def served(tmp_path: Path, site: Site, *plugins: str, server: str = "") -> Any:
    for scheme in ("Ticket", "Badge"):
        site.install(scheme.lower(), DOOR.format(scheme=scheme), head="asked = []")
    site.install("web", ROUTES, head=ROUTES_HEAD)
    async with serving(write(tmp_path, "web", *plugins, server=server)) as chat:
        yield chat


async def me(chat: Chat, credentials: str | None = None, **headers: str) -> httpx.Response:
    if credentials is not None:
        headers["authorization"] = credentials
    return await chat.http.get("/x/web/me", headers=headers)


async def test_routes_are_mounted_under_the_plugin_and_know_the_user(tmp_path, site):
    async with served(tmp_path, site) as chat:
        assert (await me(chat)).json() == {"user": "local", "tenant": "default"}
        assert (await chat.http.get("/x/web/hello")).text == "hello"
        assert (await chat.http.get("/me")).status_code == 404
        assert (await chat.http.get("/x/dice/me")).status_code == 404


async def test_routes_need_a_user_unless_they_are_public(tmp_path, site):
    async with served(tmp_path, site, "ticket") as chat:
        refused = await me(chat)
        assert refused.status_code == 401
        assert refused.headers["content-type"].startswith("application/problem+json")
        assert (await chat.http.get("/x/web/hello")).status_code == 200
        assert (await chat.http.get("/health")).status_code == 200
        assert (await chat.http.get("/ready")).status_code == 200
        assert (await me(chat, "Ticket ada")).json() == {"user": "ada", "tenant": "Ticket"}


async def test_authenticators_are_tried_in_the_order_of_the_config(tmp_path, site):
    async with served(tmp_path, site, "badge", "ticket") as chat:
        badge, ticket = site.imported("badge").asked, site.imported("ticket").asked
        assert (await me(chat, "Badge ada")).json() == {"user": "ada", "tenant": "Badge"}
        assert (badge, ticket) == (["Badge"], [])
        assert (await me(chat, "Ticket bob")).json() == {"user": "bob", "tenant": "Ticket"}
        assert (badge, ticket) == (["Badge"] * 2, ["Ticket"])


async def test_bad_credentials_are_a_401_at_once_and_none_are_one_in_the_end(tmp_path, site):
    async with served(tmp_path, site, "badge", "ticket") as chat:
        refused = await me(chat, "Badge bad")
        assert refused.status_code == 401
        assert refused.json()["detail"] == "The request has no valid credentials."
        assert site.imported("ticket").asked == []
        for credentials in (None, "Basic abc"):
            refused = await me(chat, credentials)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Badge, Ticket"
        assert (await chat.call("threads.list")).status_code == 401


async def test_users_of_two_ways_in_do_not_see_each_other(tmp_path, site, upstream):
    path = write(tmp_path, "badge", "ticket", extra="")
    for scheme in ("Ticket", "Badge"):
        site.install(scheme.lower(), DOOR.format(scheme=scheme), head="asked = []")
    path.write_text(path.read_text().replace('api_key = "k"', f'api_key = "k"\nbase_url = "{upstream.url}"'))
    path.write_text(path.read_text().replace("openai/default", "openai/fake"))
    async with serving(path) as chat:
        chat.http.headers["authorization"] = "Badge ada"
        thread, _ = await chat.create("hi")
        chat.http.headers["authorization"] = "Ticket ada"
        assert (await chat.call("threads.get_by_id", thread_id=thread)).status_code == 404
        assert (await chat.get("threads.list"))["data"] == []
        chat.http.headers["authorization"] = "Badge ada"
        assert (await chat.call("threads.get_by_id", thread_id=thread)).status_code == 200


async def test_a_domain_key_is_asked_for_by_the_chatkit_api_and_by_nothing_else(tmp_path, site):
    listing = {"type": "threads.list", "params": {}}
    async with served(tmp_path, site, server='domain_keys = ["old", "new"]') as chat:
        for headers in ({}, {"x-domain-key": "bad"}, {"x-domain-key": ""}, {"x-domain-key": "ol"}):
            refused = await chat.http.post(chat.path, json=listing, headers=headers)
            assert refused.status_code == 403, headers
            assert "old" not in refused.text
        for key in ("old", "new"):
            headers = {"x-domain-key": key}
            assert (await chat.http.post(chat.path, json=listing, headers=headers)).status_code == 200
        assert (await me(chat)).status_code == 200
        assert (await chat.http.get("/health")).status_code == 200
        assert (await chat.http.get("/ready")).status_code == 200


@pytest.mark.parametrize("origins", ["", 'cors_origins = ["https://example.com"]'])
async def test_a_preflight_needs_neither_credentials_nor_a_domain_key(tmp_path, site, origins):
    async with served(tmp_path, site, "ticket", server=f'domain_keys = ["key"]\n{origins}') as chat:
        preflight = {"origin": "https://example.com", "access-control-request-method": "POST"}
        answer = await chat.http.options(chat.path, headers=preflight)
        assert answer.status_code in {200, 204}
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == ("https://example.com" if origins else None)
