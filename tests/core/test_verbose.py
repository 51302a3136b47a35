"""`--verbose` shows the traceback into the plugin author's own file, at whatever stage the plugin fails."""

import textwrap
from pathlib import Path

import pytest

from chatrack.cli import reload
from tests.support.commands import Outcome, mistake_of, run, run_process
from tests.support.plugins import Site

BOOM = "def boom(*_):\n    raise RuntimeError('no luck')\n"
"""Every plugin here fails in this function, which is in the plugin's module."""

LIFESPAN = """
@hookimpl
def lifespan(self):
    return self.live()

@contextlib.asynccontextmanager
async def live(self):
    boom()
    yield
"""

STORE = """
@hookimpl
def store(self):
    class Broken(SQLStore):
        async def start(self):
            boom()
    return Broken(Database("sqlite:///broken.db"))
"""

DATABASE = """
@hookimpl
def migrations(self):
    class Broken(Database):
        async def start(self, **options):
            boom()
    return Migrations(
        name="broken",
        folder=Path("x"),
        version_table="broken_version",
        database=Broken("sqlite:///broken.db"),
        tables=sqlalchemy.MetaData(),
    )
"""

PROVIDER = """
@hookimpl
def model_providers(self):
    class Broken(chatrack.ModelProvider):
        get_model = boom
    return {"broken": Broken()}
"""

USER_DATA = """
@hookimpl
def user_data(self):
    class Broken(chatrack.UserData):
        name = "broken"

        async def export(self, user):
            boom()
            yield

        async def purge(self, user):
            boom()
            yield

        async def purge_before(self, moment):
            boom()
            yield

        async def tenants(self):
            return set()

    return Broken()
"""

POST_INIT = """
class Settings(chatrack.Settings):
    account: str = "x"

    def __post_init__(self):
        try:
            boom()
        except RuntimeError as error:
            raise ValueError(f"account: {error}") from error
"""

ROUTE = """
@hookimpl
def routes(self):
    @get("/x")
    async def route(request: "NoSuchType") -> None:
        pass
    return [route]
"""

SERVE = ["serve"]
CHECK = ["check"]
BROKEN_STORE = '["broken", "demo_provider"]'

FAILURES = {
    # What fails: the body of the plugin, what stands before it, the body of `__init__`, the commands, `enabled`.
    "import": ("", f"{BOOM}boom()", "pass", [CHECK, SERVE], None),
    "settings, in __post_init__": (POST_INIT, BOOM, "pass", [CHECK, SERVE], None),
    "settings, in __init__": ("", BOOM, "boom()", [CHECK, SERVE], None),
    "hook": ("@hookimpl\ndef tools(self):\n    return boom()", BOOM, "pass", [CHECK, SERVE], None),
    "hook, in get_model": (PROVIDER, BOOM, "pass", [CHECK, SERVE], None),
    "start, in a lifespan": (LIFESPAN, BOOM, "pass", [SERVE, ["serve", "--workers", "2"]], None),
    "start, in a store": (STORE, BOOM, "pass", [SERVE], BROKEN_STORE),
    "start, in a database": (
        DATABASE,
        f"import sqlalchemy\n{BOOM}",
        "pass",
        [CHECK, SERVE, ["migrate"]],
        None,
    ),
    "export": (USER_DATA, BOOM, "pass", [["export", "--user", "ada"]], None),
    "purge": (
        USER_DATA,
        BOOM,
        "pass",
        [["purge", "--user", "ada", "--yes"], ["purge", "--older-than", "1d", "--yes"]],
        None,
    ),
}


def write_config(
    folder: Path, enabled: str | None = None, name: str = "config.toml", model: str = "demo"
) -> str:
    path = folder / name
    path.write_text(
        f'enabled = {enabled or """["sqlite_store", "demo_provider", "broken"]"""}\n'
        f'[server]\nport = 0\n[chat]\nmodel = "{model}"\n[plugins.sqlite_store]\npath = "{name}.db"\n'
    )
    return str(path)


def assert_shows_the_authors_file(outcome: Outcome, site: Site) -> None:
    assert outcome.code == 2, outcome.err
    assert "Traceback (most recent call last)" in outcome.err
    assert f'File "{site.folder}/fake_broken.py"' in outcome.err
    assert ", in boom\n" in outcome.err
    assert "RuntimeError: no luck" in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("chatrack: ")
    assert "no luck" in last


def plain_line_of(outcome: Outcome) -> str:
    """Return the one line about the mistake; what was logged or printed before it does not count."""
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    [line] = [line for line in outcome.err.splitlines() if line.startswith("chatrack: ")]
    return line


CASES = [(what, command) for what, (*_, commands, _) in FAILURES.items() for command in commands]


@pytest.mark.parametrize(
    ("what", "command"), CASES, ids=[f"{what}: {' '.join(words)}" for what, words in CASES]
)
def test_the_traceback_reaches_the_authors_file_only_if_it_is_asked_for(what, command, site, tmp_path):
    body, head, init, _, enabled = FAILURES[what]
    site.install("broken", body, head=head, init=init)
    path = write_config(tmp_path, enabled, model="broken" if "get_model" in what else "demo")
    line = plain_line_of(run(*command, "--config", path))
    assert "no luck" in line
    assert "broken" in line
    assert_shows_the_authors_file(run(*command, "--config", path, "--verbose"), site)


def test_the_traceback_of_a_failing_copy_reaches_the_authors_file(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = (write_config(tmp_path, name=name) for name in ("source.toml", "target.toml"))
    # A database for each of the two configs: if they were the same, there would be nothing to copy.
    body = DATABASE.replace('"sqlite:///broken.db"', 'f"sqlite:///{next(names)}.db"')
    site.install("broken", body, head=f'import sqlalchemy\nnames = iter(["first", "second"])\n{BOOM}')
    (tmp_path / "first.db").touch()
    arguments = [
        "migrate",
        "--config",
        write_config(tmp_path, '["sqlite_store", "demo_provider"]', "source.toml"),
    ]
    assert run(*arguments).code == 0
    write_config(tmp_path, name="source.toml")
    arguments = ["copy", "--from", source, "--to", target]
    assert "copy: RuntimeError: no luck" in mistake_of(run(*arguments))
    site.forget()
    assert_shows_the_authors_file(run(*arguments, "--verbose"), site)


def test_a_route_that_cannot_be_mounted_is_one_plain_line_and_verbose_shows_the_cause(site, tmp_path):
    site.install("broken", ROUTE)
    path = write_config(tmp_path)
    assert "plugin broken (fake-broken 1.0): hook: `routes`" in mistake_of(run("check", "--config", path))
    assert "NoSuchType" in run("check", "--config", path, "--verbose").err


def test_several_broken_plugins_are_shown_with_all_their_tracebacks(site, tmp_path):
    site.install("broken", head=f"{BOOM}boom()")
    site.install("wrong", init="raise KeyError('account')")
    path = write_config(tmp_path, '["sqlite_store", "demo_provider", "broken", "wrong"]')
    err = run("check", "--config", path, "--verbose").err
    for name in ("broken", "wrong"):
        assert f'{site.folder}/fake_{name}.py"' in err
    assert [line.split()[2] for line in err.splitlines()[-2:]] == ["broken", "wrong"]


def test_the_list_of_plugins_shows_the_traceback_of_a_broken_one(site, tmp_path):
    site.install("broken", head=f"{BOOM}boom()")
    path = write_config(tmp_path)
    assert run("plugins", "--config", path).err == ""
    outcome = run("plugins", "--config", path, "--verbose")
    assert outcome.code == 0
    assert f'File "{site.folder}/fake_broken.py"' in outcome.err
    assert "broken" in outcome.out


def test_a_server_that_reloads_shows_it_too(site, tmp_path, monkeypatch):
    def run_once(*_folders: Path, target, args, **_options):
        target(*args)

    monkeypatch.setattr(reload, "run_process", run_once)
    site.install("broken", LIFESPAN, head=BOOM)
    path = write_config(tmp_path)
    assert "Traceback" not in run("serve", "--reload", "--config", path).err
    err = run("serve", "--reload", "--config", path, "--verbose").err
    assert f'File "{site.folder}/fake_broken.py"' in err
    assert err.splitlines()[-1].startswith("chatrack: plugin broken")


def test_a_worker_that_cannot_start_shows_it_too(site, tmp_path):
    head = textwrap.dedent("""
        import os
        PARENT = os.getpid()

        def boom():
            if os.getpid() != PARENT:
                raise RuntimeError("no luck")
    """)
    site.install("broken", LIFESPAN, head=head)
    write_config(tmp_path)
    environ = {"PYTHONPATH": str(site.folder)}
    outcome = run_process("serve", "--workers", "2", "--verbose", cwd=tmp_path, env=environ)
    assert outcome.code == 2
    assert f'File "{site.folder}/fake_broken.py"' in outcome.err
    assert ", in boom\n" in outcome.err
    assert "chatrack: plugin broken (fake-broken 1.0): start: RuntimeError: no luck" in outcome.err
