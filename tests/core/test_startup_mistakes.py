"""Every mistake of an operator or a plugin author stops start-up with one plain line and exit code 2."""

import gc
import json
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.commands import Outcome, mistake_of, run, run_process
from tests.support.plugins import AUTHENTICATOR, TOOL

KEY = "sk-never-to-be-seen"

COMMANDS = {"check": ["check"], "serve": ["serve"], "workers": ["serve", "--workers", "2"]}

STARTING = ["serve", "workers"]
"""The commands that start what `check` only connects."""


def config(
    *plugins: str,
    enabled: str | None = None,
    head: str = "",
    server: str = "",
    chat: str = 'model = "openai/fake"',
    store: str = 'path = "data/chat.db"',
    openai: str = f'api_key = "{KEY}"',
    extra: str = "",
) -> str:
    """Return a valid config with the lines of a test added."""
    names = enabled or json.dumps(["sqlite_store", "openai_provider", *plugins])
    return f"""
enabled = {names}
{head}
[server]
port = 0
{server}
[chat]
{chat}
{extra}
[plugins.sqlite_store]
{store}
[plugins.openai_provider]
{openai}
"""


@dataclass(frozen=True)
class Fake:
    """A plugin to install: what `Site.install` takes."""

    body: str = ""
    head: str = ""
    api: str = "api = 1"
    init: str = "self.settings = settings"


@dataclass(frozen=True)
class Mistake:
    """A mistake, and what its line must say.

    Args:
        text: the config file.
        says: parts of the line.
        plugins: what to install, by name.
        stage: if the mistake is that of the plugin `broken`, where it fails.
        never: what the line must not hold.
    """

    text: str
    says: list[str] = field(default_factory=list)
    plugins: dict[str, Fake] = field(default_factory=dict)
    stage: str | None = None
    never: list[str] = field(default_factory=list)


def plugin_mistake(
    stage: str, *says: str, body: str = "", never: list[str] | None = None, text: str = "", **options: str
) -> Mistake:
    """A mistake of the plugin `broken`; its line must say whose it is."""
    return Mistake(
        text or config("broken"), list(says), {"broken": Fake(body, **options)}, stage, never or []
    )


def hook_result(hook: str, result: str, *says: str) -> Mistake:
    """The plugin `broken` returns the wrong thing from a hook."""
    # A store that is wrong is found before the right one is missed.
    listed = '["broken", "openai_provider"]' if hook == "store" else None
    return plugin_mistake(
        "hook",
        hook,
        *says,
        body=f"@hookimpl\ndef {hook}(self):\n    return {result}",
        text=config("broken", enabled=listed),
    )


DICE = TOOL.format(name="roll")
HELPER = '[agents.helper]\ninstructions = "Help."\n'
TWO_PACKS = {"dice": Fake(DICE), "drums": Fake(DICE)}
TWO_HELPERS = {
    name: Fake('@hookimpl\ndef agents(self):\n    return [AgentSpec(name="helper", instructions="Help.")]')
    for name in ("first", "second")
}


def named_tool(name: str) -> Fake:
    """A plugin with one tool of any name."""
    return Fake(f"""
@hookimpl
def tools(self):
    @function_tool(name_override={name!r})
    def tool() -> str:
        "Do it."
        return "done"
    return [tool]
""")


CONFIG_MISTAKES = {
    "bad TOML": Mistake("enabled = [\n", ["config.toml", "TOML"]),
    "an unknown table": Mistake(config(extra="[sever]\nport = 1"), ["config.toml: sever", "server"]),
    "an unknown key": Mistake(config(server="workrs = 2"), ["config.toml: server.workrs", "workers"]),
    "an unknown key of a plugin": Mistake(
        config(store='pth = "x"'), ["config.toml: plugins.sqlite_store.pth", '"path"']
    ),
    "a wrong type": Mistake(config(server='heartbeat = "often"'), ["config.toml: server.heartbeat", "float"]),
    "a number that is too small": Mistake(
        config(server="workers = 0"), ["config.toml: server.workers", "`int` >= 1"]
    ),
    "a wrong choice": Mistake(
        config(chat='on_disconnect = "cancle"\nmodel = "openai"'),
        ["config.toml: chat.on_disconnect", '"cancel"', '"continue"'],
    ),
    "a missing list of plugins": Mistake('[chat]\nmodel = "openai"', ["config.toml: enabled", "required"]),
    "a variable that is not set": Mistake(
        config(enabled='{ env = "CHATRACK_TEST_PLUGINS" }'), ["config.toml: enabled", "CHATRACK_TEST_PLUGINS"]
    ),
    "a missing required setting": Mistake(
        config("needy"),
        ["config.toml: plugins.needy.account", "required"],
        {"needy": Fake("class Settings(chatrack.Settings):\n    account: str")},
    ),
    "an origin that is none": Mistake(
        config(server='cors_origins = ["example.com"]'), ["server", "cors_origins"]
    ),
    "an unknown plugin": Mistake(
        config("opnai_provider"), ["config.toml: enabled", "opnai_provider", '"openai_provider"']
    ),
    "a plugin listed twice": Mistake(
        config("openai_provider"), ["config.toml: enabled", "openai_provider", "twice"]
    ),
    "the table of an unknown plugin": Mistake(
        config(extra="[plugins.sqlite_stor]\npath = 'x'"),
        ["config.toml: plugins.sqlite_stor", '"sqlite_store"'],
    ),
    "no store": Mistake(
        config(enabled='["openai_provider"]'), ["config.toml: enabled", "store", "sqlite_store"]
    ),
    "two stores": Mistake(
        config("other"),
        ["config.toml: enabled", "sqlite_store", "other", "chatrack 0.1", "fake-other 1.0"],
        {"other": Fake('@hookimpl\ndef store(self):\n    return SQLStore(Database("sqlite:///other.db"))')},
    ),
    "one model prefix from two plugins": Mistake(
        config("other"),
        ["openai_provider", "other", '"openai"'],
        {
            "other": Fake("""
@hookimpl
def model_providers(self):
    class Other(chatrack.ModelProvider):
        def get_model(self, model_name):
            return None
    return {"openai": Other()}
""")
        },
    ),
    "an unknown agent": Mistake(
        config(chat='agent = "helpr"\nmodel = "openai"', extra=HELPER),
        ["config.toml: chat.agent", "helpr", '"helper"'],
    ),
    "an ambiguous agent": Mistake(
        config(*TWO_HELPERS, chat='agent = "helper"\nmodel = "openai"'),
        ["config.toml: chat.agent", "first.helper", "second.helper"],
        TWO_HELPERS,
    ),
    "an ambiguous table of an agent": Mistake(
        config(*TWO_HELPERS, extra='[agents.helper]\ndescription = "x"'),
        ["config.toml: agents.helper", "first.helper", "second.helper"],
        TWO_HELPERS,
    ),
    "an agent that does not exist and has no instructions": Mistake(
        config(extra='[agents.helper]\ninstructions = "x"\n[agents.hepler]\nmodel = "openai"'),
        ["config.toml: agents.hepler", '"helper"', "instructions"],
    ),
    "an unknown model provider": Mistake(
        config(chat='model = "opnai/fake"'), ["config.toml: chat.model", "opnai", '"openai"']
    ),
    "an unknown model provider of an agent": Mistake(
        config(extra=f'{HELPER}model = "acme"'), ["config.toml: agents.helper.model", "acme", "openai"]
    ),
    "no model after the slash": Mistake(
        config(chat='model = "openai/"'), ["config.toml: chat.model", "openai/"]
    ),
    "an empty provider": Mistake(config(chat='model = "/fake"'), ["config.toml: chat.model"]),
    "no model at all": Mistake(config(chat=""), ["config.toml: chat.model"]),
    "a provider without a key": Mistake(
        config(openai=""), ["config.toml: chat.model", "plugins.openai_provider.api_key", "OPENAI_API_KEY"]
    ),
    "an unknown tool": Mistake(
        config("dice", extra=f'{HELPER}tools = ["rol"]'),
        ["config.toml: agents.helper.tools", '"roll"'],
        {"dice": Fake(DICE)},
    ),
    "a glob that matches nothing": Mistake(
        config("dice", extra=f'{HELPER}tools = ["dise.*"]'),
        ["config.toml: agents.helper.tools", "dise.*", "dice.roll"],
        {"dice": Fake(DICE)},
    ),
    "an ambiguous tool": Mistake(
        config(*TWO_PACKS, extra=f'{HELPER}tools = ["roll"]'),
        ["config.toml: agents.helper.tools", "dice.roll", "drums.roll"],
        TWO_PACKS,
    ),
    "an unknown handoff": Mistake(
        config(extra=f'{HELPER}handoffs = ["helpr"]'),
        ["config.toml: agents.helper.handoffs", "helpr", '"helper"'],
    ),
    "an unknown placeholder": Mistake(
        config(extra='[agents.helper]\ninstructions = "Help {user.foo} and {user.id}."'),
        ["config.toml: agents.helper.instructions", "{user.foo}"],
        never=["{user.id}"],
    ),
    "two tools of one wire name": Mistake(
        config(*TWO_PACKS, extra=f'{HELPER}tools = ["dice.roll", "drums.*"]'),
        ["config.toml: agents.helper", "dice.roll", "drums.roll"],
        TWO_PACKS,
    ),
    "a tool and a handoff of one wire name": Mistake(
        config(
            "odd",
            chat='agent = "helper"\nmodel = "openai"',
            extra=f'{HELPER}tools = ["*"]\nhandoffs = ["x"]\n[agents.x]\ninstructions = "x"',
        ),
        ["config.toml: agents.helper", "transfer_to_x", "odd.transfer_to_x"],
        {"odd": named_tool("transfer_to_x")},
    ),
    "two wire names that differ in - and _": Mistake(
        config("one", "two", extra=f'{HELPER}tools = ["*"]'),
        ["config.toml: agents.helper", "one.look_up", "two.look-up"],
        {"one": named_tool("look_up"), "two": named_tool("look-up")},
    ),
    "a tool name with a space": Mistake(
        config("odd", extra=f'{HELPER}tools = ["*"]'),
        ["config.toml: agents.helper", "look up"],
        {"odd": named_tool("look up")},
    ),
    "a tool name of 65 characters": Mistake(
        config("odd", extra=f'{HELPER}tools = ["*"]'),
        ["config.toml: agents.helper", "a" * 65],
        {"odd": named_tool("a" * 65)},
    ),
    "an unknown model setting": Mistake(
        config(extra=f"{HELPER}model_settings = {{ temprature = 1 }}"),
        ["config.toml: agents.helper.model_settings", "temprature"],
    ),
    "a wrong model setting": Mistake(
        config(extra=f'{HELPER}model_settings = {{ temperature = "hot" }}'),
        ["config.toml: agents.helper.model_settings", "temperature"],
    ),
    **{
        f"listening on {host} without an authenticator": Mistake(
            config(server=f'host = "{host}"'), ["config.toml: server.host", host, "authenticator"]
        )
        for host in ("0.0.0.0", "::", "192.168.1.5", "chat.example.com")
    },
}

PLUGIN_MISTAKES = {
    "a broken import": plugin_mistake(
        "import", "fake_broken", "no_such_module", head="import no_such_module"
    ),
    "a syntax error": plugin_mistake("import", "SyntaxError", head="def"),
    "a wrong api": plugin_mistake("api", "2", "1", api="api = 2"),
    "no api": plugin_mistake("api", "api", api=""),
    "an unknown hook, t30": plugin_mistake(
        "hook",
        "`tols`",
        '"tools"',
        body=f"def __repr__(self):\n    return '{KEY}'\n@hookimpl\ndef tols(self):\n    return []",
        never=[KEY, "object at 0x"],
    ),
    "an async hook, t30": plugin_mistake(
        "hook", "`tools`", "async", body="@hookimpl\nasync def tools(self):\n    return []"
    ),
    "a hook that is an async generator, t30": plugin_mistake(
        "hook", "`lifespan`", "async", body="@hookimpl\nasync def lifespan(self):\n    yield"
    ),
    "a hook with an unknown argument": plugin_mistake(
        "hook", "`tools`", "databas", "database", body="@hookimpl\ndef tools(self, databas):\n    return []"
    ),
    "a hook that raises": plugin_mistake(
        "hook",
        "`tools`",
        "ValueError",
        "no dice",
        body="@hookimpl\ndef tools(self):\n    raise ValueError('no\\ndice')",
    ),
    "a hook that refuses": plugin_mistake(
        "hook", "`tools`", "no dice", body="@hookimpl\ndef tools(self):\n    raise StartupError('no dice')"
    ),
    "a hook that returns a coroutine, t30": plugin_mistake(
        "hook",
        "`tools`",
        "coroutine",
        body="async def later(self):\n    return []\n@hookimpl\ndef tools(self):\n    return self.later()",
    ),
    "an __init__ that raises": plugin_mistake(
        "settings", "KeyError", "account", init="raise KeyError('account')"
    ),
    "an __init__ that refuses": plugin_mistake(
        "settings", "no account", init="raise StartupError('no account')"
    ),
    "an __init__ without settings": plugin_mistake(
        "settings", "TypeError", body="def __init__(self):\n    pass"
    ),
    "Settings that are no struct": plugin_mistake("settings", "Settings", body="class Settings:\n    pass"),
    "Settings of an unknown type": plugin_mistake(
        "settings", "NoSuchType", body="class Settings(chatrack.Settings):\n    when: 'NoSuchType' = None"
    ),
    "Settings of a type that cannot be read": plugin_mistake(
        "settings",
        "when",
        body="class Settings(chatrack.Settings):\n    when: Secret | Path = Path('x')",
        text=config("broken", extra="[plugins.broken]\nwhen = 'now'"),
    ),
    "a store that is none": hook_result("store", "object()", "Store"),
    "authenticators that are a mapping": hook_result("authenticators", "{}", "Sequence"),
    "authenticators that are none": hook_result("authenticators", "[object()]", "Authenticator"),
    "providers that are a list": hook_result("model_providers", "[]", "Mapping"),
    "a provider that is none": hook_result("model_providers", "{'acme': object()}", "ModelProvider", "acme"),
    "tools that are text": hook_result("tools", "'roll'", "Sequence"),
    "a tool that is a plain function": hook_result("tools", "[print]", "function_tool"),
    "a tool that is a number": hook_result("tools", "[5]", "int"),
    "a tool that is an agent": hook_result("tools", "[AgentSpec(name='x', instructions='x')]", "AgentSpec"),
    "agents that are a generator": hook_result("agents", "(x for x in ())", "Sequence"),
    "an agent that is a dict": hook_result("agents", "[{'name': 'x'}]", "AgentSpec"),
    "actions that are a list": hook_result("actions", "[]", "Mapping"),
    "an action handler that is not async": hook_result(
        "actions", "{'broken.roll': print}", "async", "broken.roll"
    ),
    "migrations that are a path": hook_result("migrations", "Path('migrations')", "Migrations"),
    "routes that are one route": hook_result("routes", "5", "Sequence"),
    "a route that is none": hook_result("routes", "[5]", "int"),
    "a route that is a plain function": hook_result("routes", "[print]"),
    "a lifespan that is none": hook_result("lifespan", "5", "AbstractAsyncContextManager"),
    "a lifespan that is not async": hook_result(
        "lifespan", "contextlib.suppress()", "AbstractAsyncContextManager"
    ),
    "one tool twice": plugin_mistake("hook", "broken.roll", body=DICE.replace("[roll]", "[roll, roll]")),
    "one agent twice": plugin_mistake(
        "hook",
        "broken.x",
        body="@hookimpl\ndef agents(self):\n    return [AgentSpec(name='x', instructions='x')] * 2",
    ),
    "an action without the plugin's name": plugin_mistake(
        "hook",
        '"roll.again"',
        '"broken.',
        body="async def roll(self, turn, call):\n    pass\n@hookimpl\ndef actions(self):\n    return {'roll.again': self.roll}",
    ),
    "one version table twice": plugin_mistake(
        "hook",
        "sqlite_store",
        "chatrack_version",
        body="""
@hookimpl
def migrations(self, database):
    return Migrations(name="x", folder=Path("x"), version_table="chatrack_version", database=database)
""",
    ),
}

MISTAKES = {**CONFIG_MISTAKES, **PLUGIN_MISTAKES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "rack"
    path.mkdir()
    return path


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    """Let what a test leaves open complain in this test, once it is garbage."""
    gc.freeze()  # what is there now need not be looked at again
    yield
    gc.collect()
    gc.unfreeze()


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def start(command: str, path: Path, *options: str) -> Outcome:
    return run(*COMMANDS[command], "--config", str(path), *options)


def assert_names_plugin(line: str, stage: str) -> None:
    assert "plugin broken" in line
    assert "fake-broken 1.0" in line
    assert f": {stage}: " in line


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_plain_line_and_nothing_is_started(name, folder, site):
    mistake = MISTAKES[name]
    for plugin, fake in mistake.plugins.items():
        site.install(plugin, fake.body, head=fake.head, api=fake.api, init=fake.init)
    path = write(folder, mistake.text)
    for command in COMMANDS:
        line = mistake_of(start(command, path))
        for part in mistake.says:
            assert part in line, f"{part!r} is not in {line!r}"
        for part in [KEY, *mistake.never]:
            assert part not in line
        if mistake.stage is not None:
            assert_names_plugin(line, mistake.stage)
        assert [entry.name for entry in folder.iterdir()] == ["config.toml"], "something was started"


@pytest.mark.parametrize(
    "name", ["an unknown key", "an unknown tool", "a broken import", "a hook that raises", "two stores"]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_only_verbose_shows_the_traceback(name, command, folder, site):
    mistake = MISTAKES[name]
    for plugin, fake in mistake.plugins.items():
        site.install(plugin, fake.body, head=fake.head)
    outcome = start(command, write(folder, mistake.text), "--verbose")
    assert outcome.code == 2
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("chatrack: ")
    assert KEY not in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_config_file_is_one_plain_line(command, folder):
    line = mistake_of(start(command, folder / "rack.toml"))
    assert str(folder / "rack.toml") in line
    assert "--config" in line


def test_all_mistakes_are_reported_each_on_its_line(folder):
    text = config("nope", server="workers = 0\nhost = 5", chat='modl = "x"', store="pth = 1")
    outcome = start("check", write(folder, text))
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert all(line.startswith("chatrack: ") for line in lines)
    keys = ["server.workers", "server.host", "chat.modl", "enabled", "plugins.sqlite_store.pth"]
    assert len(lines) == len(keys)
    for key in keys:
        assert any(f"config.toml: {key}: " in line for line in lines), key


def test_all_mistakes_in_names_are_reported_each_on_its_line(folder):
    extra = f'{HELPER}tools = ["no.such"]\nhandoffs = ["nobody"]\n[agents.other]\ndescription = "x"'
    outcome = start("check", write(folder, config(server='host = "0.0.0.0"', extra=extra)))
    assert outcome.code == 2
    found = outcome.err
    for key in ("agents.helper.tools", "agents.helper.handoffs", "agents.other", "server.host"):
        assert f"config.toml: {key}: " in found, key
    assert len(found.splitlines()) == 4


def test_a_mistake_names_the_file_that_was_given(folder):
    for text in (config(enabled='["openai_provider"]'), config(server="workers = 0"), config(openai="")):
        line = mistake_of(run("check", "--config", str(write(folder, text, "production.toml"))))
        assert "production.toml: " in line
        assert "config.toml" not in line


def test_one_mistake_of_many_agents_is_reported_once(folder):
    extra = HELPER + 'handoffs = ["other"]\n[agents.other]\ninstructions = "x"\nhandoffs = ["helper"]'
    mistake_of(
        start(
            "check", write(folder, config(openai="", extra=extra, chat='agent = "helper"\nmodel = "openai"'))
        )
    )


def test_a_disabled_plugin_may_keep_its_table_and_that_is_only_noted(folder, site):
    site.install("resting", head="raise RuntimeError('imported')")
    outcome = start("check", write(folder, config(extra="[plugins.resting]\nanything = 1")))
    assert outcome.code == 0, outcome.err
    assert "note: [plugins.resting]" in outcome.out
    assert site.imported("resting") is None


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_plugin_is_harmless_and_not_imported_unless_it_is_enabled(command, folder, site):
    proof = folder.parent / "imported"
    site.install("broken", head=f"open({str(proof)!r}, 'w').close()\nimport no_such_module")
    # `serve` is stopped by a mistake that is only found once all plugins are loaded.
    text = config(server='host = "0.0.0.0"') if command != "check" else config()
    outcome = start(command, write(folder, text))
    if command == "check":
        assert outcome.code == 0, outcome.err
    else:
        assert "server.host" in mistake_of(outcome)
    assert not proof.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_entry_point_must_name_a_class(command, folder, site):
    site.install_source("broken", "def plugin(settings):\n    return settings\n", target="plugin")
    line = mistake_of(start(command, write(folder, config("broken"))))
    assert_names_plugin(line, "import")
    assert "class" in line


def test_an_entry_point_must_name_something_that_is_there(folder, site):
    site.install_source("broken", "class Plugin:\n    api = 1\n", target="Plugni")
    line = mistake_of(start("check", write(folder, config("broken"))))
    assert_names_plugin(line, "import")
    assert "Plugni" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_two_distributions_must_not_bring_one_plugin(command, folder, site):
    source = "class Plugin:\n    api = 1\n"
    site.install_source("dice", source, distribution="left-dice", module="fake_left")
    site.install_source("dice", source, distribution="right-dice", module="fake_right", version="2.5")
    line = mistake_of(start(command, write(folder, config("dice"))))
    for part in ("plugin dice", "install", "left-dice 1.0", "right-dice 2.5"):
        assert part in line


def test_a_coroutine_from_a_hook_is_closed_and_warns_of_nothing(folder, site, recwarn):
    site.install("broken", PLUGIN_MISTAKES["a hook that returns a coroutine, t30"].plugins["broken"].body)
    mistake_of(start("check", write(folder, config("broken"))))
    assert [str(warning.message) for warning in recwarn] == []


def test_a_plugin_that_nobody_refers_to_needs_no_key(folder, site):
    site.install("acme", ACME)
    text = config("acme", chat='model = "acme/one"', openai="")
    outcome = start("check", write(folder, text))
    assert outcome.code == 0, outcome.err


ACME = """
@hookimpl
def model_providers(self):
    from agents import OpenAIChatCompletionsModel
    import openai
    class Acme(chatrack.ModelProvider):
        def get_model(self, model_name):
            return OpenAIChatCompletionsModel(model_name or "one", openai.AsyncOpenAI(api_key="x", base_url="http://x"))
    return {"acme": Acme()}
"""
"""A provider whose models are made and never asked."""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_with_an_authenticator_any_address_may_be_listened_on(host, folder, site):
    site.install("door", AUTHENTICATOR)
    outcome = start("check", write(folder, config("door", server=f'host = "{host}"')))
    assert outcome.code == 0, outcome.err


def test_an_empty_list_of_authenticators_is_no_authenticator(folder, site):
    site.install("door", "@hookimpl\ndef authenticators(self):\n    return []")
    assert "server.host" in mistake_of(
        start("check", write(folder, config("door", server='host = "0.0.0.0"')))
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_loopback_addresses_need_no_authenticator(host, folder):
    outcome = start("check", write(folder, config(server=f'host = "{host}"')))
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("command", ["serve", "workers"])
def test_an_address_from_the_command_line_is_checked_as_well(command, folder):
    path = write(folder, config())
    assert "0.0.0.0" in mistake_of(start(command, path, "--host", "0.0.0.0"))


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("command", ["serve", "workers"])
def test_a_port_in_use_is_one_plain_line_and_nothing_is_started(command, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = write(folder, config())
        line = mistake_of(start(command, path, "--port", str(port)))
    assert "config.toml: server" in line
    assert str(port) in line
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("command", ["serve", "workers"])
def test_a_host_that_is_not_of_this_machine_is_one_plain_line(command, folder, site):
    site.install("door", AUTHENTICATOR)
    path = write(folder, config("door", server='host = "192.0.2.1"'))
    assert "192.0.2.1" in mistake_of(start(command, path))


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", ["below a file", "a folder", "not a database"])
def test_a_database_file_that_cannot_be_opened_is_one_plain_line(command, case, folder):
    (folder / "file").write_text("This is a plain file, and it is long enough to have a header. " * 20)
    store = {"below a file": "file/chat.db", "a folder": ".", "not a database": "file"}[case]
    outcome = start(command, write(folder, config(store=f'path = "{store}"')))
    line = mistake_of(outcome)
    assert "sqlite_store" in line
    assert str(folder) in line


@pytest.mark.parametrize("command", [*COMMANDS, "migrate"])
def test_a_database_that_is_newer_than_the_code_is_one_plain_line(command, folder):
    path = write(folder, config())
    assert run("migrate", "--config", str(path)).code == 0
    with sqlite3.connect(folder / "data" / "chat.db") as database:
        database.execute("UPDATE chatrack_version SET version_num = '9999'")
    database.close()
    outcome = run("migrate", "--config", str(path)) if command == "migrate" else start(command, path)
    line = mistake_of(outcome)
    assert "9999" in line
    assert "newer" in line


LIFE = """
@hookimpl
def lifespan(self):
    return self.live()

@contextlib.asynccontextmanager
async def live(self):
    with Path({proof!r}).open("a") as proof:
        print("entered", file=proof, flush=True)
        try:
            yield
        finally:
            print("left", file=proof, flush=True)
"""

BROKEN_LIFE = """
@hookimpl
def lifespan(self):
    return self.live()

@contextlib.asynccontextmanager
async def live(self):
    raise {error}
    yield
"""


def start_line(outcome: Outcome) -> str:
    """Return the line about what failed at start; logged lines may precede it."""
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err, outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith("chatrack: ")]
    assert len(lines) == 1, outcome.err
    assert outcome.err.splitlines()[-1] == lines[0]
    assert "[error" not in outcome.err
    return lines[0]


@pytest.mark.parametrize("command", STARTING)
@pytest.mark.parametrize("error", ["OSError('no\\nbroker')", "StartupError('no broker')"])
def test_a_lifespan_that_raises_at_start_names_its_plugin_and_stops_what_was_started(
    command, error, folder, site
):
    proof = folder / "proof"
    site.install("first", LIFE.format(proof=str(proof)))
    site.install("broken", BROKEN_LIFE.format(error=error))
    site.install("last", LIFE.format(proof=str(folder / "never")))
    line = start_line(start(command, write(folder, config("first", "broken", "last"))))
    assert_names_plugin(line, "start")
    assert "broker" in line
    assert proof.read_text().split() == ["entered", "left"]
    assert not (folder / "never").exists()
    assert not list(folder.glob("data/*-wal")), "the store was left open"


@pytest.mark.parametrize("command", STARTING)
def test_a_store_that_cannot_be_started_names_its_plugin(command, folder, site):
    body = """
@hookimpl
def store(self):
    class Sick(SQLStore):
        async def start(self):
            raise OSError("no\\nanswer")
    return Sick(Database("sqlite:///sick.db"))
"""
    site.install("broken", body)
    line = start_line(start(command, write(folder, config(enabled='["broken", "openai_provider"]'))))
    assert_names_plugin(line, "start")
    assert "no answer" in line


@pytest.mark.parametrize(
    ("command", "case"),
    [
        *((command, "no folder") for command in [*COMMANDS, "migrate"]),
        *((command, "a migration that fails") for command in [*STARTING, "migrate"]),
    ],
)
def test_migrations_that_fail_name_their_plugin(command, case, folder, site):
    versions = site.folder / "history" / "versions"
    if case != "no folder":
        versions.mkdir(parents=True)
        (versions.parent / "env.py").write_text("from chatrack.sql import run_env\nrun_env()\n")
        (versions / "0001_first.py").write_text(
            'revision = "0001"\ndown_revision = None\ndef upgrade():\n    raise OSError("no disk")\n'
        )
    body = f"""
@hookimpl
def migrations(self, database):
    return Migrations(
        name="broken", folder=Path({str(versions.parent)!r}), version_table="broken_version", database=database
    )
"""
    site.install("broken", body)
    path = write(folder, config("broken"))
    outcome = run("migrate", "--config", str(path)) if command == "migrate" else start(command, path)
    assert_names_plugin(start_line(outcome), "start")


@pytest.mark.parametrize(
    "name", ["an unknown plugin", "a hook that raises", "listening on 0.0.0.0 without an authenticator"]
)
def test_a_process_that_refuses_to_start_leaves_nothing_behind(name, folder, site):
    mistake = MISTAKES[name]
    for plugin, fake in mistake.plugins.items():
        site.install(plugin, fake.body)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write(folder, mistake.text.replace("port = 0", f"port = {port}"))
    outcome = run_process("serve", cwd=folder, env={"PYTHONPATH": str(site.folder)})
    line = mistake_of(outcome)
    assert all(part in line for part in mistake.says)
    assert outcome.out == ""
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_process_whose_port_is_taken_leaves_nothing_behind(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write(folder, config().replace("port = 0", f"port = {taken.getsockname()[1]}"))
        line = mistake_of(run_process("serve", "--workers", "2", cwd=folder))
    assert "cannot listen" in line
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]


def test_the_executable_is_beside_python():
    assert Path(sys.executable).with_name("chatrack").exists()
