"""The commands: what they print, how they end, and that no secret is in any of it."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import chatrack
from tests.support.commands import mistake_of, run, run_process
from tests.support.plugins import AUTHENTICATOR, TOOL

KEY = "sk-never-to-be-seen"
DOMAIN_KEY = "domain-key-never-to-be-seen"

COMMANDS = ["check", "plugins", "migrate", "serve"]


@pytest.fixture
def config(tmp_path: Path):
    def write(*plugins: str, server: str = "", chat: str = "", extra: str = "") -> str:
        path = tmp_path / "config.toml"
        path.write_text(f"""
enabled = {json.dumps(["sqlite_store", "openai_provider", *plugins])}
[server]
domain_keys = ["{DOMAIN_KEY}"]
{server}
[chat]
model = "openai/fake"
{chat}
[plugins.sqlite_store]
path = "chat.db"
[plugins.openai_provider]
api_key = "{KEY}"
{extra}
""")
        return str(path)

    return write


def rows_of(output: str) -> dict[str, list[str]]:
    """Return the rows of a table by their first cell."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in output.splitlines()]
    return {row[0]: row[1:] for row in rows if row}


# -- every command -------------------------------------------------------------------------------------


def test_the_version_is_printed():
    outcome = run("--version")
    assert outcome.code == 0
    assert outcome.out.split() == ["chatrack,", "version", chatrack.__version__]


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "chatrack", "--version"], capture_output=True, text=True, check=True
    )
    assert chatrack.__version__ in done.stdout


def test_the_command_line_loads_no_heavy_library_before_it_knows_the_command():
    code = "import sys, chatrack.cli; print({'agents', 'litestar', 'sqlalchemy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_help_lists_the_commands():
    outcome = run("--help")
    assert outcome.code == 0
    assert all(command in outcome.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_config_and_verbose(command):
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert "--config" in outcome.out
    assert "[default: config.toml]" in outcome.out
    assert "--verbose" in outcome.out


@pytest.mark.parametrize(
    "args", [["chekc"], ["check", "--nope"], ["serve", "--workers", "0"], ["serve", "--port", "70000"]]
)
def test_a_wrong_command_line_is_exit_code_2(args):
    outcome = run(*args)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_config_is_exit_code_2(command, tmp_path):
    assert "nowhere.toml" in mistake_of(run(command, "--config", str(tmp_path / "nowhere.toml")))


@pytest.mark.parametrize("command", ["check", "migrate", "serve"])
def test_a_mistake_in_the_config_is_exit_code_2(command, config):
    assert "server.workers" in mistake_of(run(command, "--config", config(server="workers = 0")))


def test_the_config_of_the_current_folder_is_the_default(config, monkeypatch, tmp_path):
    config()
    monkeypatch.chdir(tmp_path)
    assert run("check").code == 0


@pytest.mark.parametrize(
    "args", [["check"], ["plugins"], ["migrate"], ["check", "--verbose"], ["plugins", "--verbose"]]
)
def test_no_secret_is_in_any_output(args, config, site):
    site.install(
        "needy", "class Settings(chatrack.Settings):\n    token: Secret\n    tokens: list[Secret] = []"
    )
    extra = f'[plugins.needy]\ntoken = {{ env = "TOKEN" }}\ntokens = ["{KEY}"]'
    outcome = run(*args, "--config", config("needy", extra=extra), env={"TOKEN": KEY})
    assert outcome.code == 0, outcome.err
    for secret in (KEY, DOMAIN_KEY):
        assert secret not in outcome.out + outcome.err


@pytest.mark.parametrize(
    "args", [["check"], ["plugins"], ["migrate"], ["check", "--verbose"], ["serve", "--verbose"]]
)
@pytest.mark.parametrize("line", [f'tokens = "{KEY}"', f'token = ["{KEY}"]', f'size = "{KEY}"'])
def test_no_secret_is_in_the_output_about_a_mistake(args, line, config, site):
    site.install(
        "needy",
        "class Settings(chatrack.Settings):\n    token: Secret | None = None\n    tokens: list[Secret] = []\n    size: int = 1",
    )
    outcome = run(*args, "--config", config("needy", extra=f"[plugins.needy]\n{line}"))
    assert "plugins.needy." in outcome.out + outcome.err
    for secret in (KEY, DOMAIN_KEY):
        assert secret not in outcome.out + outcome.err


# -- plugins -------------------------------------------------------------------------------------------


def test_plugins_lists_what_is_enabled_and_installed(config, site):
    site.install("dice", TOOL.format(name="roll"))
    site.install("resting", head="raise RuntimeError('imported')")
    outcome = run("plugins", "--config", config("dice"))
    assert outcome.code == 0, outcome.err
    rows = rows_of(outcome.out)
    assert rows["plugin"] == ["state", "distribution", "version", "api", "hooks"]
    assert rows["dice"] == ["enabled", "fake-dice", "1.0", "1", "tools"]
    assert rows["resting"] == ["installed", "fake-resting", "1.0"]
    assert rows["sqlite_store"] == [
        "enabled",
        "chatrack",
        chatrack.__version__,
        "1",
        "store, user_data, migrations",
    ]
    assert rows["openai_provider"][0] == "enabled"
    assert site.imported("resting") is None


def test_plugins_shows_what_is_broken_and_why(config, site):
    site.install("broken", head="import no_such_module")
    site.install("old", api="api = 0")
    site.install("needy", "class Settings(chatrack.Settings):\n    account: str")
    outcome = run("plugins", "--config", config("broken", "old", "needy", "absent"))
    assert "Traceback" not in outcome.err
    rows = rows_of(outcome.out)
    assert rows["broken"][:3] == ["broken", "fake-broken", "1.0"]
    assert "no_such_module" in rows["broken"][-1]
    assert rows["old"][0] == "broken"
    assert "api" in rows["old"][-1]
    assert rows["needy"][0] == "broken"
    assert "plugins.needy.account" in rows["needy"][-1]
    assert rows["absent"][0] == "broken"
    assert "not installed" in rows["absent"][-1]
    assert rows["sqlite_store"][0] == "enabled"


def test_plugins_starts_nothing(config, tmp_path):
    assert run("plugins", "--config", config()).code == 0
    assert not (tmp_path / "chat.db").exists()


# -- check ---------------------------------------------------------------------------------------------


def test_check_shows_what_there_is(config, site):
    site.install("dice", TOOL.format(name="roll"))
    extra = (
        '[agents.guide]\ninstructions = "x"\ntools = ["roll"]\nhandoffs = ["other"]\n'
        '[agents.other]\ninstructions = "x"\nmodel = "openai/other"\n[plugins.demo_provider]\n'
    )
    path = config("dice", chat='agent = "guide"', extra=extra)
    outcome = run("check", "--config", path)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    rows = rows_of(outcome.out)
    assert rows["config"] == [path]
    assert rows["address"] == ["http://127.0.0.1:8000/chatkit/api"]
    assert rows["store"] == ["sqlite_store"]
    assert "loopback" in rows["users"][0]
    assert rows["agent"] == ["guide (openai/fake)"]
    assert "other (openai/other)" in outcome.out
    assert rows["providers"] == ["openai"]
    assert rows["tools"] == ["dice.roll"]
    assert rows["actions"] == ["none"]
    assert "note: [plugins.demo_provider]" in outcome.out


def test_check_shows_the_authenticators(config, site):
    site.install("door", AUTHENTICATOR)
    outcome = run("check", "--config", config("door", server='host = "0.0.0.0"'))
    assert outcome.code == 0, outcome.err
    assert rows_of(outcome.out)["users"] == ["Everyone"]


def test_check_runs_twice_in_a_row(config):
    path = config()
    first, second = run("check", "--config", path), run("check", "--config", path)
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out


# -- migrate -------------------------------------------------------------------------------------------


def test_migrate_brings_all_tables_up_to_date_and_says_so(config, tmp_path):
    path = config("todo_tools")
    first = run("migrate", "--config", path)
    assert first.code == 0, first.err
    rows = rows_of(first.out)
    assert rows["plugin"] == ["before", "after"]
    assert set(rows) == {"plugin", "sqlite_store", "todo_tools"}
    assert all(rows[plugin][0] == "nothing" for plugin in ("sqlite_store", "todo_tools"))
    with sqlite3.connect(tmp_path / "chat.db") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert {"chatrack_version", "todo_tools_version"} <= tables

    again = rows_of(run("migrate", "--config", path).out)
    for plugin in ("sqlite_store", "todo_tools"):
        assert again[plugin] == [rows[plugin][1]] * 2


# -- as processes --------------------------------------------------------------------------------------


def test_the_shipped_config_passes_in_an_empty_folder(tmp_path):
    shipped = Path(__file__).resolve().parents[2] / "config.toml"
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "config.toml").write_text(shipped.read_text())
    outcome = run_process("check", cwd=folder, env={"LLM_PROVIDER": ""})
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert [path.name for path in folder.iterdir()] == ["config.toml"]
