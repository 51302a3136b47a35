"""`chatrack export` and `chatrack purge`, as an operator runs them: over every kind of database, for all plugins."""

import asyncio
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url, text

from chatrack.clock import now, to_micros
from chatrack.sql import Database
from tests.support.commands import EXECUTABLE, Outcome, mistake_of, run, run_process
from tests.support.databases import KINDS, new_database, new_store_database
from tests.support.plugins import Site
from tests.support.rows import config_of, counts, everything, fill, thread, todo, use
from tests.support.serving import serving
from tests.support.waiting import PROCESS_LIMIT

HOUR = 3_600_000_000
DAY = 24 * HOUR

EXPORT = r"""{"source":"chatrack","kind":"user","tenant_id":"acme","id":"ada"}
{"source":"chatrack","kind":"thread","id":"thr_1B","created_at":"2026-01-02T03:04:05Z","title":"Ünï \"1\" 🙂","status":{"type":"locked","reason":null},"metadata":{"b":1.50,"a":["ü"]},"allowed_image_domains":["example.com"],"next_seq":12,"history_from":2,"updated_at":"2026-01-02T03:04:05.000001Z"}
{"source":"chatrack","kind":"item","thread_id":"thr_1B","seq":2,"id":"msg_2","type":"user_message","turn_id":null,"hidden":false,"uncommitted":false,"format":1,"data":{"id":"msg_2"},"origin":null}
{"source":"chatrack","kind":"item","thread_id":"thr_1B","seq":3,"id":"msg_3","type":"hidden_context_item","turn_id":null,"hidden":true,"uncommitted":false,"format":1,"data":{"id":"msg_3"},"origin":{"id":"resp_1"}}
{"source":"chatrack","kind":"item","thread_id":"thr_1B","seq":10,"id":"msg_10","type":"user_message","turn_id":"trn_1","hidden":false,"uncommitted":false,"format":1,"data":{"id":"msg_10","text":"tail"},"origin":null}
{"source":"chatrack","kind":"item","thread_id":"thr_1B","seq":11,"id":"msg_11","type":"user_message","turn_id":null,"hidden":false,"uncommitted":true,"format":1,"data":{"id":"msg_11"},"origin":null}
{"source":"chatrack","kind":"attachment","id":"atc_1A","thread_id":"thr_1B","data":{"id":"A","name":"x.png"},"created_at":"2026-01-02T03:04:05Z"}
{"source":"chatrack","kind":"attachment","id":"atc_1b","thread_id":"thr_1B","data":{"id":"atc_1b"},"created_at":"2026-01-02T03:04:05Z"}
{"source":"chatrack","kind":"feedback","thread_id":"thr_1B","item_id":"msg_2","feedback_kind":"positive","created_at":"2026-01-02T03:04:05.000002Z"}
{"source":"chatrack","kind":"pause","thread_id":"thr_1B","item_id":"msg_10","turn_id":"trn_1","pause_kind":"client_tool","data":{"name":"pick"},"created_at":"2026-01-02T03:04:05.000003Z"}
{"source":"chatrack","kind":"thread","id":"thr_1a","created_at":"2026-01-02T03:04:05Z","title":"Zwei","status":{"type":"active"},"metadata":{},"allowed_image_domains":null,"next_seq":1,"history_from":0,"updated_at":"2026-01-02T03:04:10Z"}
{"source":"chatrack","kind":"item","thread_id":"thr_1a","seq":1,"id":"msg_1","type":"user_message","turn_id":null,"hidden":false,"uncommitted":false,"format":1,"data":{"id":"msg_1"},"origin":null}
{"source":"chatrack","kind":"attachment","id":"atc_1loose","thread_id":null,"data":{"id":"atc_1loose"},"created_at":"2026-01-02T03:04:05.000007Z"}
{"source":"chatrack","kind":"usage","turn_id":"trn_19","agent":"B","model":"demo","thread_id":"thr_gone","requests":1,"input_tokens":null,"cached_tokens":null,"output_tokens":2,"reasoning_tokens":null,"created_at":"2026-01-02T03:04:05Z"}
{"source":"chatrack","kind":"usage","turn_id":"trn_19","agent":"b","model":"demo","thread_id":"thr_gone","requests":1,"input_tokens":10,"cached_tokens":null,"output_tokens":2,"reasoning_tokens":null,"created_at":"2026-01-02T03:04:05Z"}
{"source":"chatrack","kind":"usage","turn_id":"trn_12","agent":"helper","model":"demo","thread_id":"thr_gone","requests":1,"input_tokens":10,"cached_tokens":null,"output_tokens":2,"reasoning_tokens":null,"created_at":"2026-01-02T03:04:06Z"}
{"source":"todo_tools","kind":"todo","id":"todo_11","title":"Brot","description":null,"status":"completed","priority":0,"due_at":null,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","completed_at":"2026-01-02T03:04:05.000001Z"}
{"source":"todo_tools","kind":"todo","id":"todo_12","title":"Milk","description":null,"status":"pending","priority":0,"due_at":null,"created_at":"2026-01-02T03:04:06Z","updated_at":"2026-01-02T03:04:14Z","completed_at":null}
"""
"""What is exported of a user about whom there is a bit of everything."""


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def empty(kind, tmp_path) -> Iterator[str]:
    """An empty database of every kind."""
    with new_database(kind, tmp_path) as url:
        yield url


@pytest.fixture
def url(kind, tmp_path) -> Iterator[str]:
    """A database of every kind that has the tables."""
    with new_store_database(kind, tmp_path) as url:
        yield url


@pytest.fixture
def lite(tmp_path) -> str:
    """The URL of a SQLite file that has the tables."""
    with new_store_database("sqlite", tmp_path) as url:
        return url


@pytest.fixture
def config(lite, tmp_path) -> str:
    return config_of("sqlite", lite, tmp_path)


def lines_of(outcome: Outcome) -> list[dict[str, object]]:
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return [json.loads(line) for line in outcome.out.splitlines()]


def table_of(outcome: Outcome) -> dict[tuple[str, str], str]:
    """Return the rows of the table that a purge prints."""
    rows = [line.split() for line in outcome.out.splitlines()]
    if not rows:
        return {}
    assert rows[0] == ["source", "kind", "deleted"]
    return {(source, kind): number for source, kind, number in rows[1:]}


# -- over every kind of database -------------------------------------------------------------------------


def test_an_export_is_all_that_is_kept_and_the_same_bytes_over_every_database(kind, url, tmp_path):
    fill(
        url, everything("1", "acme", "ada"), everything("2", "default", "ada"), everything("3", "acme", "bob")
    )
    outcome = run("export", "--user", "ada", "--tenant", "acme", "--config", config_of(kind, url, tmp_path))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == EXPORT


def test_a_purge_of_a_user_leaves_others_alone_and_says_what_it_removed(kind, url, tmp_path):
    parts = [("1", "acme", "ada"), ("2", "default", "ada"), ("3", "acme", "bob")]
    fill(url, *(everything(*part) for part in parts))
    path = config_of(kind, url, tmp_path)
    others = [
        run("export", "--user", user, "--tenant", tenant, "--config", path).out
        for _, tenant, user in parts[1:]
    ]
    purge = ["purge", "--user", "ada", "--tenant", "acme", "--yes", "--config", path]
    outcome = run(*purge)
    assert outcome.code == 0, outcome.err
    assert outcome.err == "This deletes all data of user ada of tenant acme. It cannot be undone.\n"
    assert table_of(outcome) == {
        ("chatrack", "thread"): "2",
        ("chatrack", "item"): "5",
        ("chatrack", "attachment"): "3",
        ("chatrack", "feedback"): "1",
        ("chatrack", "pause"): "1",
        ("chatrack", "usage"): "3",
        ("todo_tools", "todo"): "2",
    }
    assert counts(url, tenant_id="acme", user_id="ada") == {}
    assert others == [
        run("export", "--user", user, "--tenant", tenant, "--config", path).out
        for _, tenant, user in parts[1:]
    ]
    assert all(len(text.splitlines()) == len(EXPORT.splitlines()) for text in others)

    again = run(*purge)
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("There was nothing to delete.\n")
    assert run("export", "--user", "ada", "--tenant", "acme", "--config", path) == Outcome(
        0, "", "there is no data of user ada of tenant acme\n"
    )


def test_a_purge_of_what_is_old_is_about_everybody(kind, url, tmp_path):
    moment = to_micros(now())
    fill(
        url,
        [
            thread("thr_old", "acme", "ada", updated_at=moment - 90 * DAY - HOUR),
            thread("thr_new", "acme", "ada", created_at=1, updated_at=moment - 90 * DAY + HOUR),
            use("trn_old", "other", "bob", created_at=moment - 91 * DAY),
            use("trn_new", "other", "bob", created_at=moment),
            todo("todo_old", "default", "eve", updated_at=moment - 91 * DAY),
            todo("todo_new", "default", "eve", created_at=1, updated_at=moment),
        ],
    )
    outcome = run("purge", "--older-than", "90d", "--yes", "--config", config_of(kind, url, tmp_path))
    assert outcome.code == 0, outcome.err
    assert "of all users" in outcome.err
    assert table_of(outcome) == {
        ("chatrack", "thread"): "1",
        ("chatrack", "usage"): "1",
        ("todo_tools", "todo"): "1",
    }
    assert counts(url) == {"threads": 1, "usage": 1, "todos": 1}


def test_a_database_without_tables_keeps_nothing_and_gets_none(kind, empty, tmp_path):
    path = config_of(kind, empty, tmp_path)
    for options in (["--user", "ada"], ["--user", "ada", "--tenant", "acme"]):
        outcome = run("export", *options, "--config", path)
        assert (outcome.code, outcome.out) == (0, "")
        assert len(outcome.err.splitlines()) == 1
        assert run("purge", *options, "--yes", "--config", path).code == 0
    assert run("purge", "--older-than", "1h", "--yes", "--config", path).code == 0
    if kind == "sqlite":
        assert not Path(make_url(empty).database).exists()
    else:
        assert tables_in(empty) == []


@pytest.mark.parametrize("revision", ["0001", "9999"])
@pytest.mark.parametrize("command", [["export"], ["purge", "--yes"]])
def test_tables_that_are_not_up_to_date_are_refused_and_stay_as_they_are(
    kind, empty, tmp_path, command, revision
):
    fill(empty, everything("1", "default", "ada"))
    before = tables_in(empty)
    change(empty, f"UPDATE chatrack_version SET version_num = '{revision}'")
    line = mistake_of(run(*command, "--user", "ada", "--config", config_of(kind, empty, tmp_path)))
    assert f"chatrack: its tables are at revision {revision}" in line or "newer version" in line
    assert "_store (chatrack" in line
    assert tables_in(empty) == before
    assert counts(empty)["threads"] == 2


def tables_in(url: str) -> list[str]:
    return asked(url, lambda connection: sorted(inspect(connection).get_table_names()))


def change(url: str, statement: str) -> None:
    asked(url, lambda connection: connection.execute(text(statement)))


def asked(url: str, work: Callable) -> object:
    async def ask() -> object:
        database = Database(url)
        await database.start()
        try:
            return await database.write(lambda connection: connection.run_sync(work))
        finally:
            await database.stop()

    return asyncio.run(ask())


# -- whose -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["export"], ["purge", "--yes"]])
def test_a_mistake_in_the_config_is_one_line(command, tmp_path):
    path = tmp_path / "config.toml"
    assert "config.toml" in mistake_of(run(*command, "--user", "ada", "--config", str(path)))
    path.write_text('enabled = ["sqlite_store"]\n[server]\nworkers = 0\n')
    assert "server.workers" in mistake_of(run(*command, "--user", "ada", "--config", str(path)))


def test_the_tenant_may_be_left_out_where_there_is_only_the_default_one(config, lite):
    fill(lite, everything("1", "default", "ada"))
    lines = lines_of(run("export", "--user", "ada", "--config", config))
    assert lines[0] == {"source": "chatrack", "kind": "user", "tenant_id": "default", "id": "ada"}
    assert len(lines) == len(EXPORT.splitlines())
    assert run("purge", "--user", "ada", "--yes", "--config", config).code == 0
    assert counts(lite) == {}


@pytest.mark.parametrize("command", ["export", "purge"])
@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([thread("thr_1", "acme", "ada")], "1 tenant"),
        ([thread("thr_1", "default", "ada"), use("trn_1", "acme", "ada")], "2 tenants"),
        (
            [thread("thr_1", "default", "ada"), todo("todo_1", "acme", "x"), use("trn_1", "b", "x")],
            "3 tenants",
        ),
    ],
)
def test_the_tenant_is_asked_for_where_there_are_others(config, lite, command, rows, count):
    fill(lite, rows)
    options = ["--yes"] if command == "purge" else []
    line = mistake_of(run(command, "--user", "ada", *options, "--config", config))
    assert line.startswith("chatrack: --tenant: ")
    assert f"there is data of {count};" in line
    assert sum(counts(lite).values()) == len(rows)


BAD = [
    (["export"], "--user"),
    (["export", "--tenant", "acme"], "--user"),
    (["export", "--user", ""], "--user"),
    (["export", "--user", "ada", "--tenant", ""], "--tenant"),
    (["export", "--user", "\udcff"], "--user"),
    (["purge"], "--older-than"),
    (["purge", "--yes"], "--older-than"),
    (["purge", "--yes", "--user", "ada", "--older-than", "90d"], "--older-than"),
    (["purge", "--yes", "--tenant", "acme"], "--user"),
    (["purge", "--yes", "--tenant", "acme", "--older-than", "90d"], "--tenant"),
    (["purge", "--yes", "--user", ""], "--user"),
    *(
        (["purge", "--yes", "--older-than", age], "--older-than")
        for age in (
            "",
            "90",
            "d",
            "0d",
            "00h",
            "-1d",
            "1.5d",
            "90m",
            "1y",
            "90 d",
            "90D",
            "٣d",
            "9999999w",
            "9" * 40 + "d",
        )
    ),
    (["purge", "--user", "ada"], "--yes"),
    (["purge", "--older-than", "90d"], "--yes"),
]


@pytest.mark.parametrize(("args", "option"), BAD)
def test_a_wrong_option_is_one_line_that_names_it(args, option, config, lite):
    fill(lite, everything("1", "default", "ada"))
    before = counts(lite)
    line = mistake_of(run(*args, "--config", config))
    assert option in line.partition(": ")[2].partition(": ")[0]
    assert counts(lite) == before


@pytest.mark.parametrize("age", ["12h", "1d", "4w"])
def test_an_age_is_in_hours_days_or_weeks(age, config, lite):
    length = int(age[:-1]) * {"h": HOUR, "d": DAY, "w": 7 * DAY}[age[-1]]
    moment = to_micros(now()) - length
    fill(
        lite,
        [
            thread("thr_1", "default", "ada", updated_at=moment - HOUR // 2),
            thread("thr_2", "default", "ada", updated_at=moment + HOUR // 2),
        ],
    )
    outcome = run("purge", "--older-than", age, "--yes", "--config", config)
    assert table_of(outcome) == {("chatrack", "thread"): "1"}


# -- asking first ----------------------------------------------------------------------------------------


def at_a_terminal(answer: str, *args: str, cwd: Path) -> Outcome:
    """Run a command whose stdin is a terminal at which something is typed."""
    main, other = pty.openpty()
    try:
        os.write(main, answer.encode())
        return run_process(*args, cwd=cwd, stdin=Path(os.ttyname(other)))
    finally:
        os.close(main)
        os.close(other)


def test_a_purge_asks_first_and_takes_no_for_an_answer(config, lite, tmp_path):
    fill(lite, everything("1", "default", "ada"))
    before = counts(lite)
    outcome = at_a_terminal("n\n", "purge", "--user", "ada", cwd=tmp_path)
    assert outcome.code == 1
    assert outcome.out == ""
    assert "all data of user ada of tenant default" in outcome.err
    assert outcome.err.endswith("Nothing was deleted.\n")
    assert counts(lite) == before


def test_a_purge_goes_on_when_told_so(config, lite, tmp_path):
    fill(lite, everything("1", "default", "ada"))
    outcome = at_a_terminal("y\n", "purge", "--user", "ada", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert table_of(outcome)["chatrack", "thread"] == "2"
    assert counts(lite) == {}


# -- plugins ---------------------------------------------------------------------------------------------

NOTES = """
@hookimpl
def user_data(self):
    folder = Path(r"{folder}")
    class Notes(chatrack.UserData):
        name = "notes"
        opened = False
        async def start(self):
            self.opened = True
        async def stop(self):
            self.opened = False
        async def export(self, user):
            assert self.opened
            for path in sorted(folder.glob(f"{{user.tenant_id}}-{{user.id}}-*")):
                yield chatrack.UserRecord(kind="note", fields={{"text": path.read_text(), "tags": ["x"]}})
        async def purge(self, user):
            assert self.opened
            for path in sorted(folder.glob(f"{{user.tenant_id}}-{{user.id}}-*")):
                path.unlink()
                yield {{"note": 1}}
        async def purge_before(self, moment):
            for path in sorted(folder.iterdir()):
                if path.stat().st_mtime < moment.timestamp():
                    path.unlink()
                    yield {{"note": 1}}
        async def tenants(self):
            return {{path.name.partition("-")[0] for path in folder.iterdir()}}
    return Notes()
"""
"""A plugin that keeps notes in files of a folder."""


@pytest.fixture
def notes(tmp_path, site) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    site.install("notes", NOTES.format(folder=folder))
    for name in ("default-ada-1", "default-ada-2", "default-bob-1"):
        (folder / name).write_text(f"of {name}")
    return folder


def test_a_plugin_without_a_database_takes_part(notes, lite, tmp_path):
    path = config_of("sqlite", lite, tmp_path, "notes")
    fill(lite, [thread("thr_1", "default", "ada")])
    lines = lines_of(run("export", "--user", "ada", "--config", path))
    assert [(line["source"], line["kind"]) for line in lines] == [
        ("chatrack", "user"),
        ("chatrack", "thread"),
        ("notes", "note"),
        ("notes", "note"),
    ]
    assert lines[-1] == {"source": "notes", "kind": "note", "text": "of default-ada-2", "tags": ["x"]}
    outcome = run("purge", "--user", "ada", "--yes", "--config", path)
    assert table_of(outcome) == {("chatrack", "thread"): "1", ("notes", "note"): "2"}
    assert [file.name for file in notes.iterdir()] == ["default-bob-1"]
    os.utime(notes / "default-bob-1", (1, 1))
    assert table_of(run("purge", "--older-than", "1d", "--yes", "--config", path)) == {("notes", "note"): "1"}
    (notes / "acme-eve-1").write_text("x")
    assert "--tenant" in mistake_of(run("export", "--user", "ada", "--config", path))


def test_the_order_of_an_export_does_not_depend_on_that_of_the_plugins(notes, lite, tmp_path):
    fill(lite, everything("1", "default", "ada"))
    path = config_of("sqlite", lite, tmp_path, "notes")
    once = run("export", "--user", "ada", "--config", path).out
    text = Path(path).read_text()
    enabled = json.loads(text.partition("enabled = ")[2].partition("\n")[0])
    Path(path).write_text(text.replace(json.dumps(enabled), json.dumps(enabled[::-1])))
    assert run("export", "--user", "ada", "--config", path).out == once


def test_todos_in_a_database_of_their_own_take_part(lite, tmp_path):
    own = f"sqlite:///{tmp_path}/todos.db"
    fill(lite, [thread("thr_1", "default", "ada")])
    fill(own, [todo("todo_1", "default", "ada"), todo("todo_2", "default", "bob")])
    path = config_of("sqlite", lite, tmp_path, extra=f'[plugins.todo_tools]\nurl = "{own}"\n')
    lines = lines_of(run("export", "--user", "ada", "--config", path))
    assert [line["id"] for line in lines] == ["ada", "thr_1", "todo_1"]
    assert run("purge", "--user", "ada", "--yes", "--config", path).code == 0
    assert counts(own) == {"todos": 1}


BROKEN = """
@hookimpl
def user_data(self):
    class Broken(chatrack.UserData):
        name = "a broken one"
        async def start(self):
            {start}
        async def export(self, user):
            {export}
            yield {record}
        def purge(self, user):
            {purge}
        def purge_before(self, moment):
            {purge}
        async def tenants(self):
            {tenants}
    return Broken()
"""


def install_broken(site: Site, **parts: str) -> None:
    whole = {
        "start": "pass",
        "export": "pass",
        "record": 'chatrack.UserRecord(kind="x", fields={})',
        "purge": "return None",
        "tenants": "return set()",
    }
    site.install("broken", BROKEN.format(**{**whole, **parts}))


BOOM = "raise RuntimeError('boom')"


@pytest.mark.parametrize(
    ("command", "parts", "said"),
    [
        ("export", {"start": BOOM}, "start: RuntimeError: boom"),
        ("export", {"tenants": BOOM}, "start: RuntimeError: boom"),
        ("export", {"export": BOOM}, "export: RuntimeError: boom"),
        ("export", {"record": "{}"}, "export: it must yield UserRecord, got dict"),
        ("export", {"record": 'chatrack.UserRecord(kind="x", fields=None)'}, "export: "),
        ("export", {"record": 'chatrack.UserRecord(kind="x", fields={"x": object()})'}, "export: "),
        ("export", {"record": 'chatrack.UserRecord(kind="x", fields={"kind": 1})'}, "has a field `kind`"),
        ("purge", {"purge": BOOM}, "purge: RuntimeError: boom"),
        ("purge", {"purge": "return None"}, "purge: it must be an async generator, got NoneType"),
        (
            "purge",
            {"purge": "return asyncio.sleep(0)"},
            "purge: it must be an async generator, got coroutine",
        ),
        ("purge", {"purge": "return self.export(user)"}, "purge: it must yield the number of removed"),
    ],
)
def test_a_plugin_that_fails_is_named(command, parts, said, site, lite, tmp_path):
    fill(lite, [todo("todo_1", "default", "ada")])
    install_broken(site, **parts)
    options = ["--yes"] if command == "purge" else []
    path = config_of("sqlite", lite, tmp_path, "broken")
    outcome = run(command, "--user", "ada", *options, "--config", path)
    line = mistake_of(Outcome(outcome.code, outcome.out, "".join(outcome.err.splitlines(keepends=True)[-1:])))
    assert line.startswith("chatrack: plugin broken (fake-broken 1.0): ")
    assert said in line
    assert counts(lite) == {"todos": 1}


def test_what_was_removed_before_a_plugin_failed_is_told(site, lite, tmp_path):
    fill(lite, everything("1", "default", "ada"))
    install_broken(site, purge=BOOM)
    source = tmp_path / "site" / "fake_broken.py"
    source.write_text(source.read_text().replace("a broken one", "zzz"))
    outcome = run(
        "purge", "--user", "ada", "--yes", "--config", config_of("sqlite", lite, tmp_path, "broken")
    )
    assert outcome.code == 2
    assert "plugin broken" in outcome.err
    assert table_of(outcome)["todo_tools", "todo"] == "2"
    assert counts(lite) == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return chatrack.sql.TableData(database, name='', tables=[])", "a `name`"),
        ("return [1]", "must return UserData, got list"),
        (
            "return chatrack.sql.TableData(database, name='todo_tools', tables=[])",
            "plugin todo_tools .* todo_tools too",
        ),
    ],
)
def test_a_hook_that_gives_something_else_stops_the_start(site, lite, tmp_path, body, said):
    site.install("broken", f"@hookimpl\ndef user_data(self, database):\n    {body}")
    path = config_of("sqlite", lite, tmp_path, "broken")
    for command in (["check"], ["export", "--user", "ada"]):
        line = mistake_of(run(*command, "--config", path))
        assert line.startswith("chatrack: plugin broken (fake-broken 1.0): hook: ")
        assert re.search(said, line)


# -- pipes, signals and servers ----------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "reader"), [(2000, "head -1"), (1, "true")])
def test_an_export_whose_reader_has_gone_ends_silently(config, lite, tmp_path, rows, reader):
    fill(lite, [thread(f"thr_{number}", "default", "ada", title="x" * 1000) for number in range(rows)])
    done = subprocess.run(
        ["bash", "-c", f"'{EXECUTABLE}' export --user ada | {reader}; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PROCESS_LIMIT,
        check=True,
    )
    *read, code = done.stdout.splitlines()
    assert [json.loads(line)["kind"] for line in read] == ["user"] * (reader != "true")
    assert int(code) == 128 + signal.SIGPIPE
    assert done.stderr == ""


INTERRUPTED = """
@hookimpl
def user_data(self):
    import os, signal
    class Slow(chatrack.UserData):
        name = "slow"
        async def export(self, user):
            return
            yield
        async def purge(self, user):
            yield {"stone": 2}
            os.kill(os.getpid(), signal.NUMBER)
            await asyncio.sleep(30)
            yield {"stone": 1000}
        purge_before = purge
        async def tenants(self):
            return set()
    return Slow()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_purge_tells_what_it_removed(number, site, lite, tmp_path):
    site.install("slow", INTERRUPTED.replace("NUMBER", number.name))
    fill(lite, everything("1", "default", "ada"))
    path = config_of("sqlite", lite, tmp_path, "slow")
    outcome = run("purge", "--user", "ada", "--yes", "--config", path)
    assert outcome.code == 128 + number
    assert "Traceback" not in outcome.err
    assert "interrupted" in outcome.err
    assert table_of(outcome)["slow", "stone"] == "2"
    assert table_of(outcome)["chatrack", "thread"] == "2"
    assert counts(lite) == {"todos": 2}


async def test_the_commands_work_while_a_server_runs(tmp_path, config):
    async with serving(Path(config)) as chat:
        thread_id, _ = await chat.create("add buy milk to my todos")
        exported = await asyncio.to_thread(run_process, "export", "--user", "local", cwd=tmp_path)
        lines = lines_of(exported)
        assert {"thread", "item", "todo"} <= {line["kind"] for line in lines}
        assert any(line.get("hidden") for line in lines)
        purged = await asyncio.to_thread(run_process, "purge", "--user", "local", "--yes", cwd=tmp_path)
        assert purged.code == 0, purged.err
        assert (await chat.call("threads.get_by_id", thread_id=thread_id)).status_code == 404
        assert await chat.create("hello")
    with sqlite3.connect(tmp_path / "chat.db") as database:
        assert database.execute("SELECT count(*) FROM todo_tools_todos").fetchone() == (0,)
    database.close()


def test_an_export_that_cannot_be_written_is_one_line(config, lite, tmp_path):
    fill(lite, everything("1", "default", "ada"))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [str(EXECUTABLE), "export", "--user", "ada"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PROCESS_LIMIT,
            check=False,
        )
    assert "No space left" in mistake_of(Outcome(done.returncode, "", done.stderr))
