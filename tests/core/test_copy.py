"""`chatrack copy`: everything arrives as it was, and what cannot be copied is refused before anything is changed."""

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatrack.assembly.copying
from chatrack.errors import Unavailable
from chatrack.sql import tables
from tests.support.commands import mistake_of, run, run_process
from tests.support.copying import Configs, configs, copy
from tests.support.crash import run_killed
from tests.support.databases import SERVERS
from tests.support.seed import OWNERS, contents, fill


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Configs]:
    with configs(tmp_path) as bench:
        yield bench


@pytest.fixture
def source(bench: Configs) -> Path:
    """A config whose SQLite file has something in every table."""
    path = bench.write("a")
    fill(path, large=False)
    return path


def names(bench: Configs, name: str) -> set[str]:
    found = bench.execute(name, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return {table for (table,) in found}


def exports(config: Path) -> list[str]:
    found = []
    for tenant, user in OWNERS:
        outcome = run("export", "--config", str(config), "--tenant", tenant, "--user", user)
        assert outcome.code == 0, outcome.err
        found.append(outcome.out)
    return found


# -- what arrives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVERS)
def test_everything_survives_the_way_to_another_kind_of_database_and_back(kind, bench):
    source, target, back = bench.write("a"), bench.write("b", kind), bench.write("c")
    fill(source)
    before = contents(source)
    assert all(before.values()), "something in every table"
    there = copy(source, target)
    assert there.code == 0, there.err
    assert contents(target) == before
    again = copy(target, back)
    assert again.code == 0, again.err
    assert contents(back) == before == contents(source)
    assert there.out == again.out
    assert "chatrack_copies" not in names(bench, "c")


def test_the_tables_are_printed_with_their_rows(source, bench):
    outcome = copy(source, bench.write("b"))
    assert outcome.code == 0
    assert outcome.err == ""
    heading, *rows, last = outcome.out.splitlines()
    assert heading.split() == ["table", "rows"]
    printed = {table: int(count) for table, count in map(str.split, rows)}
    assert printed == {table: len(rows) for table, rows in contents(source).items()}
    assert last == "Copied and verified."


def test_the_target_is_config_if_it_is_not_given(source, bench):
    outcome = run("copy", "--from", str(source), "--config", str(bench.write("b")))
    assert outcome.code == 0, outcome.err
    assert contents(bench.folder / "b.toml") == contents(source)


def test_empty_tables_are_copied_too(bench):
    source, target = bench.write("a"), bench.write("b")
    assert run("migrate", "--config", str(source)).code == 0
    assert copy(source, target).code == 0
    assert copy(source, target).code == 0, "nothing is in the way"


def test_a_target_that_is_migrated_already_is_as_good(source, bench):
    target = bench.write("b")
    assert run("migrate", "--config", str(target)).code == 0
    assert copy(source, target).code == 0
    assert contents(target) == contents(source)


def test_many_threads_have_identical_exports_after_an_interrupted_way_there_and_back(bench):
    source, target, back = bench.write("a"), bench.write("b", "postgresql"), bench.write("c")
    fill(source, count=200, each=20, large=False)
    for here, there in ((source, target), (target, back)):
        arguments = ("copy", "--from", str(here), "--to", str(there))
        code, log = run_killed(
            *arguments, folder=bench.folder, before="INSERT INTO chatrack_items", nth=20, rows=100
        )
        assert code == -9, log
        outcome = copy(here, there)
        assert outcome.code == 0, outcome.err
        assert re.search(r"^chatrack_items +4,000$", outcome.out, re.MULTILINE)
    assert exports(source) == exports(back)


# -- plugins' databases --------------------------------------------------------------------------------


@pytest.mark.parametrize(("own_source", "own_target"), [(False, True), (True, False), (True, True)])
def test_a_plugins_own_database_is_copied_wherever_it_is(own_source, own_target, bench):
    todo_urls = [
        bench.database(f"todos-{name}") if own else None
        for name, own in zip("ab", (own_source, own_target), strict=True)
    ]
    source, target = bench.write("a", todo_url=todo_urls[0]), bench.write("b", todo_url=todo_urls[1])
    fill(source, large=False)
    outcome = copy(source, target)
    assert outcome.code == 0, outcome.err
    assert contents(target) == contents(source)
    if own_target:
        assert "todo_tools_todos" not in names(bench, "b")
        assert "chatrack_copies" not in names(bench, "todos-b")


def test_a_database_that_a_plugin_has_in_both_configs_stays_where_it_is(bench):
    todo_url = bench.database("todos")
    source, target = bench.write("a", todo_url=todo_url), bench.write("b", todo_url=todo_url)
    fill(source, large=False)
    outcome = copy(source, target)
    assert outcome.code == 0, outcome.err
    assert "note: todo_tools has the same database in both configs" in outcome.out
    assert contents(target) == contents(source)


def test_a_plugin_that_only_the_target_has_is_none_of_the_matter(bench):
    source, target = bench.write("a", plugins=()), bench.write("b")
    assert run("migrate", "--config", str(source)).code == 0
    assert copy(source, target).code == 0
    assert "todo_tools_todos" not in names(bench, "b")


# -- what is refused -----------------------------------------------------------------------------------


def test_running_it_again_is_refused(source, bench):
    target = bench.write("b")
    assert copy(source, target).code == 0
    mistake = mistake_of(copy(source, target))
    assert re.search(r"already has .*\b12 threads", mistake)
    assert str(target) in mistake
    assert contents(target) == contents(source)


def test_a_single_row_in_the_way_is_enough_to_refuse_and_nothing_is_changed(source, bench):
    own = bench.database("todos")
    target = bench.write("b", todo_url=own)
    fill(target, count=1, each=1, large=False)
    for table in (*reversed(tables.metadata.sorted_tables),):
        bench.execute("b", f"DELETE FROM {table.name}")
    before = contents(target)
    mistake = mistake_of(copy(source, target))
    assert "plugin todo_tools" in mistake
    assert "already has 1 todos" in mistake
    assert contents(target) == before
    assert "chatrack_copies" not in names(bench, "b") | names(bench, "todos")


def test_a_target_that_is_newer_than_the_code_is_refused_and_nothing_is_changed(source, bench):
    target = bench.write("b")
    assert run("migrate", "--config", str(target)).code == 0
    bench.execute("b", "UPDATE chatrack_version SET version_num = '9999'")
    assert "newer" in mistake_of(copy(source, target))
    assert "chatrack_copies" not in names(bench, "b")


def test_the_same_database_on_both_sides_is_refused(source, bench):
    mistake = mistake_of(copy(source, source))
    assert "same database" in mistake
    link = bench.folder / "link.db"
    link.symlink_to(bench.folder / "a-database" / "chat.db")
    assert "same database" in mistake_of(copy(source, bench.write("b", url=f"sqlite:///{link}")))


def test_a_source_that_is_not_up_to_date_is_refused(source, bench):
    target = bench.write("b")
    bench.execute("a", "UPDATE chatrack_version SET version_num = '0001'")
    mistake = mistake_of(copy(source, target))
    assert "0001" in mistake
    assert f"run `chatrack migrate --config {source}`" in mistake
    assert not (bench.folder / "b-database" / "chat.db").exists(), "the target is not touched"


def test_a_source_without_tables_is_refused(source, bench):
    bench.execute("a", "DROP TABLE todo_tools_version")
    mistake = mistake_of(copy(source, bench.write("b")))
    assert "plugin todo_tools" in mistake
    assert "there are no tables; run `chatrack migrate" in mistake


def test_a_source_that_is_newer_than_the_code_is_refused(source, bench):
    bench.execute("a", "UPDATE chatrack_version SET version_num = '9999'")
    assert "newer" in mistake_of(copy(source, bench.write("b")))


def test_a_source_file_that_is_not_there_is_refused_and_not_made(bench):
    mistake = mistake_of(copy(bench.write("a"), bench.write("b")))
    assert "there is no file" in mistake
    assert "a.toml" in mistake
    assert not (bench.folder / "a-database" / "chat.db").exists()


def test_a_plugin_that_the_target_does_not_have_is_named(source, bench):
    target = bench.write("b", plugins=())
    mistake = mistake_of(copy(source, target))
    assert "plugin todo_tools" in mistake
    assert f"have no place in {target}" in mistake


MIGRATIONS = """
@hookimpl
def migrations(self, database):
    return Migrations(
        name="notes", folder=Path("nowhere"), version_table="notes_version", database=database, tables={tables}
    )
"""
TABLES = """
from sqlalchemy import Column, Integer, MetaData, Table
metadata = MetaData()
Table({name}, metadata, Column("n", Integer, primary_key={key}))
"""


def test_a_plugin_that_does_not_say_which_tables_it_has_is_named(source, bench, site):
    site.install("notes", MIGRATIONS.format(tables="None"))
    more = bench.write("more", url=bench.urls["a"], plugins=("todo_tools", "notes"))
    mistake = mistake_of(copy(more, bench.write("b", plugins=("todo_tools", "notes"))))
    assert "plugin notes (fake-notes 1.0)" in mistake
    assert "`Migrations.tables`" in mistake


def test_a_table_without_a_primary_key_is_named(source, bench, site):
    head = TABLES.format(name='"notes_log"', key=False)
    site.install("notes", MIGRATIONS.format(tables="metadata"), head=head)
    more = bench.write("more", url=bench.urls["a"], plugins=("todo_tools", "notes"))
    mistake = mistake_of(copy(more, bench.write("b", plugins=("todo_tools", "notes"))))
    assert "notes_log has no primary key" in mistake


def test_tables_that_the_two_configs_call_differently_are_refused(source, bench, site):
    head = TABLES.format(name='"notes"', key=True)
    tables = "metadata if database.dialect == 'sqlite' else MetaData()"
    site.install("notes", MIGRATIONS.format(tables=tables), head=head)
    more = bench.write("more", url=bench.urls["a"], plugins=("todo_tools", "notes"))
    target = bench.write("b", "postgresql", plugins=("todo_tools", "notes"))
    mistake = mistake_of(copy(more, target))
    assert f"plugin notes (fake-notes 1.0): copy: it has tables of other names in {target}" in mistake


STORE = """
@hookimpl
def store(self):
    store = SQLStore(Database("sqlite:///nowhere.db"))
    store.database = {database}
    return store
"""


@pytest.mark.parametrize(
    ("database", "message"), [("None", "no `chatrack.sql.Database`"), ("store.database", "no `migrations`")]
)
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_store_that_nobody_knows_the_tables_of_is_named(database, message, end, source, bench, site):
    site.install("acme", STORE.format(database=database))
    foreign = bench.folder / "foreign.toml"
    foreign.write_text('enabled = ["acme", "demo_provider"]\n[chat]\nmodel = "demo"\n')
    pair = (foreign, source) if end == "source" else (source, foreign)
    outcome = copy(*pair)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert "foreign.toml: plugin acme" in outcome.err
    assert message in outcome.err


def test_stores_with_different_tables_are_refused(source, bench, site):
    store = STORE.format(database="store.database")
    site.install("notes", f"{store}\n{MIGRATIONS.format(tables='None')}")
    foreign = bench.folder / "foreign.toml"
    foreign.write_text('enabled = ["notes", "demo_provider"]\n[chat]\nmodel = "demo"\n')
    mistake = mistake_of(copy(foreign, source))
    assert f"its tables have no place in {source}: the two stores have different tables" in mistake


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_mistake_in_a_config_names_the_file_by_its_path(end, source, bench):
    wrong = bench.folder / "deep" / "a.toml"
    wrong.parent.mkdir()
    wrong.write_text('enabled = ["sqlite_store", "demo_provider"]\n[server]\nworkers = 0\n')
    mistake = mistake_of(copy(wrong, source) if end == "source" else copy(source, wrong))
    assert f"chatrack: {wrong}: server.workers: " in mistake


def test_a_config_that_is_not_there_is_named(source, bench):
    assert "nowhere.toml: there is no such file" in mistake_of(copy(source, bench.folder / "nowhere.toml"))


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_server_that_cannot_be_reached_is_named(end, source, bench):
    away = bench.write("away", "postgresql", url="postgresql://user:secret@127.0.0.1:9/chat")
    mistake = mistake_of(copy(away, source) if end == "source" else copy(source, away))
    assert f"{away}: plugin postgres_store" in mistake
    assert "cannot connect" in mistake
    assert "secret" not in mistake


def test_a_text_that_the_target_does_not_take_is_named(source, bench):
    target = bench.write("b", "postgresql")
    bench.execute("a", "UPDATE chatrack_threads SET title = ? WHERE id = 'thr_0B'", "a\0b")
    outcome = copy(source, target)
    assert outcome.code == 2
    assert "chatrack_threads" in outcome.err
    assert "NUL" in outcome.err
    assert "Traceback" not in outcome.err


# -- what changes meanwhile ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE chatrack_threads SET title = 'new' WHERE id = 'thr_0B'",
            "chatrack_threads: 12 rows, not all",
        ),
        ("DELETE FROM chatrack_usage WHERE model = 'openai/3'", "chatrack_usage: 12 instead of 11 rows"),
        (
            "UPDATE todo_tools_todos SET description = '' WHERE description IS NULL",
            "todo_tools_todos: 12 rows",
        ),
        (
            "INSERT INTO chatrack_feedback SELECT 'thr_0a', 'x', tenant_id, user_id, kind, 1 FROM chatrack_feedback LIMIT 1",
            "chatrack_feedback: 6 instead of 7 rows",
        ),
    ],
)
def test_a_source_that_changes_while_it_is_copied_is_noticed(statement, message, source, bench, monkeypatch):
    verify = chatrack.assembly.copying._verify

    async def change_and_verify(*arguments):
        bench.execute("a", statement)
        return await verify(*arguments)

    monkeypatch.setattr(chatrack.assembly.copying, "_verify", change_and_verify)
    target = bench.write("b")
    mistake = mistake_of(copy(source, target))
    assert message in mistake
    assert str(source) in mistake
    assert str(target) in mistake
    assert "copy again" in mistake

    # It stays wrong until somebody does what the message says.
    monkeypatch.undo()
    assert message in mistake_of(copy(source, target))
    (bench.folder / "b-database" / "chat.db").unlink()
    assert copy(source, target).code == 0


def test_a_thread_that_comes_too_late_for_its_items_is_noticed(source, bench, monkeypatch):
    write = chatrack.assembly.copying.write_batch

    async def change_and_write(database, table, rows, note):
        if table.name == "chatrack_threads":
            columns = ", ".join(tables.threads.c.keys()[1:])
            bench.execute(
                "a", f"INSERT INTO chatrack_threads SELECT 'a', {columns} FROM chatrack_threads LIMIT 1"
            )
            columns = ", ".join(tables.items.c.keys()[1:])
            bench.execute(
                "a", f"INSERT INTO chatrack_items SELECT 'a', {columns} FROM chatrack_items LIMIT 1"
            )
        return await write(database, table, rows, note)

    monkeypatch.setattr(chatrack.assembly.copying, "write_batch", change_and_write)
    mistake = mistake_of(copy(source, bench.write("b")))
    assert "chatrack_items: some rows conflict with those that are there" in mistake
    assert "copy again" in mistake


def test_of_two_copies_at_once_one_gives_up(source, bench, monkeypatch):
    write = chatrack.assembly.copying.write_batch

    async def write_after_another(database, table, rows, note):
        await write(database, table, rows, note)
        return await write(database, table, rows, note)

    monkeypatch.setattr(chatrack.assembly.copying, "write_batch", write_after_another)
    target = bench.write("b")
    assert "another `chatrack copy`" in mistake_of(copy(source, target))
    monkeypatch.undo()
    assert copy(source, target).code == 0
    assert contents(target) == contents(source)


@pytest.mark.parametrize("end", ["a", "b"])
def test_a_database_that_goes_away_meanwhile_is_named_with_what_to_do(end, source, bench, monkeypatch):
    name = {"a": "read_batches", "b": "write_batch"}[end]
    real = getattr(chatrack.assembly.copying, name)

    async def read(database, table, **more):
        if table.name == "chatrack_items":
            raise Unavailable("The database cannot be reached right now.")
        async for rows in real(database, table, **more):
            yield rows

    async def write(database, table, rows, note):
        if table.name == "chatrack_items":
            raise Unavailable("The database cannot be reached right now.")
        return await real(database, table, rows, note)

    monkeypatch.setattr(chatrack.assembly.copying, name, {"a": read, "b": write}[end])
    target = bench.write("b")
    mistake = mistake_of(copy(source, target))
    assert f"{bench.folder / end}.toml: plugin sqlite_store" in mistake
    assert "What was copied stays; run the same command again to resume." in mistake
    monkeypatch.undo()
    assert copy(source, target).code == 0
    assert contents(target) == contents(source)


# -- the terminal --------------------------------------------------------------------------------------


def test_a_terminal_gets_a_progress_bar(source, bench):
    target = bench.write("b")
    master, slave = pty.openpty()
    done = run_process(
        "copy",
        *("--from", str(source), "--to", str(target)),
        cwd=bench.folder,
        env={"TERM": "xterm"},
        stderr=Path(os.ttyname(slave)),
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert done.code == 0, shown
    assert "copying" in shown
    assert "verifying" in shown
    assert re.search(r"(\d+)/\1\b", shown), "to the end"
    assert done.out.startswith("table")
