"""`chatrack copy` that is killed or told to stop: the same command goes on, and every row arrives exactly once."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrack.sql import Database
from chatrack.sql.copying import load_progress
from tests.support.commands import mistake_of, run
from tests.support.copying import Configs, configs, copy
from tests.support.crash import run_killed, start
from tests.support.databases import SERVERS
from tests.support.seed import contents, fill
from tests.support.waiting import LIMIT

MAKING = [
    # The statement that the process does not live to run, while it makes the tables: MySQL keeps half of them.
    ("CREATE TABLE chatrack_copies", 1),
    ("INSERT INTO chatrack_copies", 1),
    ("CREATE TABLE chatrack_leases", 1),
    ("ALTER TABLE chatrack_attachments", 1),
]

FILLING = [
    # The same, while it fills them.
    ("INSERT INTO chatrack_threads", 1),
    ("UPDATE chatrack_copies", 3),
    ("INSERT INTO chatrack_items", 4),
    ("COMMIT", 14),
    ("INSERT INTO todo_tools_todos", 1),
    ("INSERT INTO chatrack_copies", 3),
    ("DROP TABLE chatrack_copies", 1),
]

TRANSACTIONAL = [
    # Of those, where the database itself matters: what it keeps of a transaction that nobody ends.
    ("INSERT INTO chatrack_items", 4),
    ("COMMIT", 14),
    ("DROP TABLE chatrack_copies", 1),
]

MOMENTS = [
    *(("mysql", *moment) for moment in MAKING),
    *(("sqlite", *moment) for moment in FILLING),
    *((kind, *moment) for kind in SERVERS for moment in TRANSACTIONAL),
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Configs]:
    with configs(tmp_path) as bench:
        yield bench


@pytest.fixture
def source(bench: Configs) -> Path:
    path = bench.write("a")
    fill(path, count=8, each=2, large=False)
    return path


def notes_in(url: str) -> dict[str, int]:
    """Return how many rows an unfinished copy has recorded, by table."""

    async def work() -> dict[str, int]:
        database = Database(url)
        await database.start()
        try:
            return {name: note.copied for name, note in (await load_progress(database)).items()}
        finally:
            await database.stop()

    return asyncio.run(work())


@pytest.mark.parametrize(("kind", "before", "nth"), MOMENTS)
def test_after_a_kill_the_same_command_goes_on(kind, before, nth, source, bench):
    target = bench.write("b", kind)
    arguments = ("copy", "--from", str(source), "--to", str(target))
    code, log = run_killed(*arguments, folder=bench.folder, before=before, nth=nth)
    assert code == -9, log
    assert log == ""
    outcome = copy(source, target)
    assert outcome.code == 0, outcome.err
    assert "Copied and verified." in outcome.out
    assert contents(target) == contents(source)
    assert notes_in(bench.urls["b"]) == {}
    assert re.search(r"already has .*\b8 threads", mistake_of(copy(source, target)))


@pytest.mark.parametrize(
    ("before", "nth"),
    [
        ("CREATE TABLE chatrack_copies", 2),
        ("INSERT INTO todo_tools_todos", 2),
        ("COMMIT", 30),
        ("DROP TABLE chatrack_copies", 1),
        ("DROP TABLE chatrack_copies", 2),
    ],
)
def test_after_a_kill_a_plugins_own_database_is_as_good(before, nth, source, bench):
    target = bench.write("b", "postgresql", todo_url=bench.database("todos", "mysql"))
    arguments = ("copy", "--from", str(source), "--to", str(target))
    code, log = run_killed(*arguments, folder=bench.folder, before=before, nth=nth)
    assert code == -9, log
    outcome = copy(source, target)
    assert outcome.code == 0, outcome.err
    assert contents(target) == contents(source)
    assert notes_in(bench.urls["b"]) == notes_in(bench.urls["todos"]) == {}


def test_kill_after_kill_it_ends_one_day(source, bench):
    target = bench.write("b")
    arguments = ("copy", "--from", str(source), "--to", str(target))
    kills = 0
    while True:
        code, log = run_killed(*arguments, folder=bench.folder, before="COMMIT", nth=9)
        if code == 0:
            break
        assert code == -9, log
        kills += 1
    assert kills > 1
    assert contents(target) == contents(source)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_keeps_what_it_has_and_says_how_to_go_on(number, bench):
    source, target = bench.write("a"), bench.write("b")
    fill(source, count=100, each=10, large=False)
    process = start("copy", "--from", str(source), "--to", str(target), folder=bench.folder, rows=1)
    while notes_in(bench.urls["b"]).get("chatrack_items", 0) < 10:
        assert process.is_alive(), (bench.folder / "command.log").read_text()
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.join(LIMIT)
    assert process.exitcode == 128 + number
    log = (bench.folder / "command.log").read_text()
    assert log == "chatrack: interrupted; run the same command again to resume\n"
    arrived = notes_in(bench.urls["b"])
    assert 10 <= arrived["chatrack_items"] < 1000
    assert len(contents(target)["chatrack_items"]) == arrived["chatrack_items"], "whole batches"
    outcome = copy(source, target)
    assert outcome.code == 0, outcome.err
    assert contents(target) == contents(source)


def interrupted(
    source: Path, bench: Configs, before: str = "INSERT INTO chatrack_items", nth: int = 3
) -> Path:
    target = bench.write("b")
    arguments = ("copy", "--from", str(source), "--to", str(target))
    code, _ = run_killed(*arguments, folder=bench.folder, before=before, nth=nth)
    assert code == -9
    return target


@pytest.mark.parametrize("moment", [("INSERT INTO chatrack_items", 3), ("DROP TABLE chatrack_copies", 1)])
def test_an_interrupted_copy_is_not_gone_on_with_from_elsewhere(moment, source, bench):
    target, other = interrupted(source, bench, *moment), bench.write("c")
    fill(other, count=8, each=2, large=False)
    mistake = mistake_of(copy(other, target))
    assert "an unfinished copy from sqlite:" in mistake
    assert "a-database/chat.db is in it" in mistake
    assert copy(source, target).code == 0


def test_what_has_arrived_so_far_is_not_copied_on(source, bench):
    target, last = interrupted(source, bench), bench.write("c")
    assert "a copy into this database has not been finished" in mistake_of(copy(target, last))
    assert copy(source, target).code == 0
    assert copy(target, last).code == 0
    assert contents(last) == contents(source)


def test_no_server_starts_over_half_a_copy(source, bench):
    target = bench.write("b")
    arguments = ("copy", "--from", str(source), "--to", str(target))
    run_killed(*arguments, folder=bench.folder, before="INSERT INTO chatrack_items", nth=4)
    refused = run("check", "--config", str(target))
    assert "an unfinished copy from" in mistake_of(refused)
    assert copy(source, target).code == 0
    assert run("check", "--config", str(target)).code == 0


def test_rows_that_went_missing_since_an_interruption_are_noticed(source, bench):
    target = interrupted(source, bench)
    bench.execute("b", "DELETE FROM chatrack_items")
    mistake = mistake_of(copy(source, target))
    assert "an interrupted copy has left 6 rows in chatrack_items, and now there are 0" in mistake
    assert "empty the database" in mistake
