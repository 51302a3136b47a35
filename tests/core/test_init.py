"""`chatrack init` writes a config that runs with the plugins that are installed, and overwrites nothing."""

import asyncio
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from chatrack.assembly import assemble
from chatrack.plugins import discovery
from tests.support.commands import Outcome, mistake_of, run
from tests.support.plugins import TOOL
from tests.support.serving import answer_of, errors_of, serving

ROOT = Path(__file__).resolve().parents[2]

STORE = '@hookimpl\ndef store(self):\n    return SQLStore(Database("sqlite:///other.db"))'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    path = tmp_path / "rack"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Hide all plugins but those of some distributions, as if only these were installed."""

    def hide_others(*distributions: str) -> None:
        def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
            found = importlib.metadata.entry_points(group=group)
            return [point for point in found if point.dist is not None and point.dist.name in distributions]

        monkeypatch.setattr(discovery, "entry_points", entry_points)

    return hide_others


def init(*options: str, **env: str | None) -> Outcome:
    outcome = run("init", *options, env=env)
    assert (outcome.code, outcome.err) == (0, ""), outcome.err
    return outcome


def written(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "config.toml").read_text())


def variables_in(folder: Path) -> list[str]:
    lines = (folder / ".env.example").read_text().splitlines()
    return [line.partition("=")[0] for line in lines if line and not line.startswith("#")]


def test_with_all_plugins_of_the_repository_it_writes_the_shipped_config(folder):
    init()
    assert (folder / "config.toml").read_text() == (ROOT / "config.toml").read_text()


def test_with_all_plugins_of_the_repository_it_writes_the_shipped_example_environment(folder):
    init()
    shipped = (ROOT / ".env.example").read_text()
    generated = (folder / ".env.example").read_text()
    assert shipped.startswith(generated)
    rest = shipped.removeprefix(generated).splitlines()
    # What the configs of the image and of compose.yaml read beside it.
    assert [line for line in rest if line and not line.startswith("#")] == ["JWT_SECRET=", "DATABASE_URL="]


async def say(config: Path, text: str) -> str:
    """Serve a config and return the answer to a message."""
    async with serving(config) as chat:
        _, events = await chat.create(text)
        assert not errors_of(events)
        return answer_of(events).lower()


def test_the_config_for_the_core_and_todo_tools_passes_the_check_and_serves(folder, only):
    only("chatrack", "chatrack-todo-tools")
    init()
    assert sorted(path.name for path in folder.iterdir()) == [".env.example", "config.toml"]
    assert written(folder)["enabled"] == [
        "sqlite_store",
        "local_files",
        "demo_provider",
        "openai_provider",
        "todo_tools",
    ]
    assert "gemini" not in (folder / "config.toml").read_text().lower()
    checked = run("check")
    assert (checked.code, checked.err) == (0, "")
    assert "buy milk" in asyncio.run(say(folder / "config.toml", "add buy milk to my todos"))


def test_the_config_for_the_core_alone_serves(folder, only):
    only("chatrack")
    init()
    assert written(folder)["enabled"] == ["sqlite_store", "local_files", "demo_provider", "openai_provider"]
    assert asyncio.run(say(folder / "config.toml", "hello"))


def test_the_example_environment_can_be_used_as_it_is(folder):
    init()
    (folder / ".env.example").rename(folder / ".env")
    assert assemble(folder / "config.toml", environ={}).default_agent.model == "demo"


def test_the_example_environment_names_the_variables_of_the_enabled_plugins(folder, only):
    only("chatrack")
    init()
    names = variables_in(folder)
    assert {"LLM_PROVIDER", "ALLOWED_ORIGINS", "CHATKIT_DOMAIN_KEY", "LOG_LEVEL"} <= set(names)
    assert {"OPENAI_API_KEY", "OPENAI_DEFAULT_MODEL"} <= set(names)
    assert "GEMINI_API_KEY" not in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["config.toml", ".env.example"])
def test_a_file_that_exists_is_not_overwritten_and_nothing_else_is_written(folder, name):
    (folder / name).write_text("mine")
    line = mistake_of(run("init"))
    assert name in line
    assert "exists" in line
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: "mine"}


def test_the_option_config_names_the_file(folder):
    outcome = init("--config", "deeper/rack.toml")
    assert "deeper/rack.toml" in outcome.out
    assert sorted(path.name for path in (folder / "deeper").iterdir()) == [".env.example", "rack.toml"]
    assert run("check", "--config", "deeper/rack.toml").code == 0


def test_a_file_that_cannot_be_written_is_one_plain_line(folder):
    (folder / "file").write_text("mine")
    assert "file/config.toml: cannot be written" in mistake_of(run("init", "--config", "file/config.toml"))


def test_the_environment_does_not_end_up_in_what_is_written(folder):
    init()
    texts = [path.read_text() for path in folder.iterdir()]
    for path in list(folder.iterdir()):
        path.unlink()
    init(OPENAI_API_KEY="sk-never-to-be-seen", OPENAI_DEFAULT_MODEL="gpt-mine", LLM_PROVIDER="openai")
    assert [path.read_text() for path in folder.iterdir()] == texts


def test_another_installed_plugin_is_enabled_with_the_settings_that_have_a_variable(folder, site):
    site.install(
        "dice",
        "class Settings(chatrack.Settings):\n"
        "    sides: Annotated[int, chatrack.settings.from_env('DICE_SIDES')] = 6\n"
        "    licence: Annotated[Secret | None, chatrack.settings.from_env('DICE_LICENCE')] = None\n"
        "    log: Path = Path('data/dice.log')\n"
        "    colour: str = 'white'\n" + TOOL.format(name="roll"),
        head="import chatrack.settings",
    )
    init()
    config = written(folder)
    assert config["enabled"][-2:] == ["dice", "todo_tools"]
    assert config["plugins"]["dice"] == {
        "sides": {"env": "DICE_SIDES"},
        "log": "data/dice.log",
    }
    assert {"DICE_SIDES", "DICE_LICENCE"} <= set(variables_in(folder))
    assert run("check").code == 0


def test_plugins_that_cannot_run_as_they_stand_are_left_out_and_the_reason_is_said(folder, site):
    site.install("second_store", STORE)
    site.install("broken", head="import no_such_module")
    site.install("needy", "class Settings(chatrack.Settings):\n    account: str")
    outcome = init()
    enabled = written(folder)["enabled"]
    notes = {
        line.split()[1].rstrip(":"): line for line in outcome.out.splitlines() if line.startswith("note: ")
    }
    reasons = {
        "second_store": "there is a store already, sqlite_store",
        "broken": "no_such_module",
        "needy": "plugins.needy.account",
        "postgres_store": "plugins.postgres_store.url",
        "mysql_store": "plugins.mysql_store.url",
        "s3_files": "plugins.s3_files.bucket",
        "azure_files": "plugins.azure_files.container",
        "compatible_provider": "no model provider without settings",
        "jwt_auth": "set exactly one of `secret`",
        "api_keys_auth": "plugins.api_keys_auth.keys",
        "signed_header_auth": "plugins.signed_header_auth.secret",
        "session_auth": "who may come in is your choice",
        "guardrails": "agents have to name its guardrails",
    }
    for name, reason in reasons.items():
        assert name not in enabled
        assert reason in notes[name], notes
    assert set(notes) == set(reasons)
    assert run("check").code == 0


def test_with_several_agents_none_is_chosen(folder, site):
    agents = "@hookimpl\ndef agents(self):\n    return [AgentSpec(name='x', instructions='x')]"
    site.install("other_agents", agents)
    init()
    assert "agent" not in written(folder)["chat"]
    assert run("check").code == 0
