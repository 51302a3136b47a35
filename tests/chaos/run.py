"""A run: servers are killed while clients talk, and what is stored is checked."""

import asyncio
import contextlib
import random
import secrets
import traceback
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.databases import PLUGINS, SERVERS, execute, new_database, store_tables
from chatrack.sql import Database
from tests.chaos import stored
from tests.chaos.checks import check
from tests.chaos.client import Client
from tests.chaos.journal import Journal, Thread
from tests.chaos.rack import Rack
from tests.conftest import openai_config
from tests.support.process import Processes, Server, processes

PAUSE = 0.2
"""Seconds between two tokens."""

BUSY_WAIT = 5.0
"""As shipped."""


@dataclass(frozen=True)
class Options:
    """The parameters of a run.

    Args:
        seed: determines what is done, but not exactly when.
        seconds: how long clients talk.
        clients: the number of clients.
        servers: the number of servers.
        every: seconds between two kills.
        lease: `[chat] lease`.
        longest: the tokens of the longest answers.
        margin: seconds that a client may need to get into a thread beyond those that the configuration gives.
        loss: tokens of an answer that a kill may cost.
        settled: seconds after which a living server has stored what its client had seen when it hung up.
        store: the name of the store plugin.
        fresh: whether servers run the installed script itself.
        keep: whether the database of a run that failed is kept.
    """

    seed: int
    seconds: float = 60
    clients: int = 40
    servers: int = 4
    every: float = 10
    lease: float = 20
    longest: int = 40
    margin: float = 3
    loss: int = 10
    settled: float = 5
    store: str = "postgres_store"
    fresh: bool = True
    keep: bool = True

    @property
    def kind(self) -> str:
        """The kind of the database."""
        return next(kind for kind, plugin in PLUGINS.items() if plugin == self.store)


@dataclass
class Report:
    """The result of a run: a summary, whether it passed, and evidence of the problems."""

    summary: str
    passed: bool
    evidence: str


async def run(options: Options, folder: Path) -> Report:
    """Run servers and clients, and check what is stored.

    Args:
        options: its parameters.
        folder: for configuration, logs and evidence.
    """
    journal = Journal()
    with _database(options, folder, journal) as url, processes(folder) as started:
        started.fresh = options.fresh
        provider = await started.upstream()
        config = folder / "config.toml"
        config.write_text(
            openai_config(
                provider.url,
                model=f"fake-d{round(PAUSE * 1000)}",
                kind=options.kind,
                store=store_tables(options.kind, url),
                todos=True,
                chat=f"lease = {options.lease}\nbusy_wait = {BUSY_WAIT}",
            ),
            encoding="utf-8",
        )
        rack = Rack(started, config, options.servers)
        database = Database(url)
        await database.start()
        checked: list[str] = []
        try:
            await rack.start()
            checked = await _live(options, started, config, rack, database, journal)
        except Exception:  # noqa: BLE001  (a run that breaks off has found something too)
            journal.problem(None, traceback.format_exc())
        finally:
            await rack.close()
        evidence = ""
        if journal.problems:
            evidence = _evidence(journal, await stored.read(database) if journal.threads else stored.Stored())
            (folder / "evidence.txt").write_text(evidence, encoding="utf-8")
            checked = [f"FAILED: {len(journal.problems)} problems; evidence and logs are in {folder}"]
            checked += [f"the database was kept: {url}"] if options.keep else []
        await database.stop()
    return Report("\n".join([_summary(options, journal), *checked]), not journal.problems, evidence)


async def _live(
    options: Options, started: Processes, config: Path, rack: Rack, database: Database, journal: Journal
) -> list[str]:
    """Let clients talk while servers die, then check what is stored; return what was checked."""
    pairs: list[list[Thread]] = [[] for _ in range(options.clients // 2 + 1)]
    patience = options.lease + BUSY_WAIT + options.margin
    clients = [
        Client(
            number,
            options.seed,
            rack,
            journal,
            pairs[number // 2],
            longest=options.longest,
            patience=patience,
        )
        for number in range(options.clients)
    ]
    journal.start()
    async with stored.watching_leases(database, journal):
        living = (client.live(options.seconds) for client in clients)
        await _all(journal, [*living, _kill(options, rack, journal)])
        # Whatever became of a thread: somebody can write into it soon.
        last = (
            clients[number % len(clients)].say_last(thread) for number, thread in enumerate(journal.threads)
        )
        await _all(journal, list(last))
    for name, code in (await rack.stop()).items():
        if code:
            journal.problem(None, f"{name} was stopped, and its exit code is {code}")
    fresh = await started.serve(config)
    async with fresh.chat() as chat:
        checked = await check(
            journal, await stored.read(database), chat, loss=options.loss, settled=options.settled
        )
    if code := await fresh.stop():
        journal.problem(None, f"the last server was stopped, and its exit code is {code}")
    for server in (*(instance.server for instance in rack.instances), fresh):
        _check_log(server, journal)
    return [*checked, f"{len(rack.instances) + 1} logs are clean"]


async def _all(journal: Journal, works: list[Coroutine[Any, Any, None]]) -> None:
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, Exception):
            journal.problem(None, "".join(traceback.format_exception(result)))
        elif isinstance(result, BaseException):
            raise result


async def _kill(options: Options, rack: Rack, journal: Journal) -> None:
    rng = random.Random(f"{options.seed}/kills")
    for number in range(1, int(options.seconds // options.every) + 1):
        await asyncio.sleep(number * options.every - journal.now())
        await rack.kill_one(rng)
        journal.counts["kills"] += 1


def _check_log(server: Server, journal: Journal) -> None:
    try:
        server.assert_clean()
        assert "deadlock" not in server.log().lower(), server.log()
    except AssertionError as error:
        journal.problem(None, f"in the log of {server.url}: {str(error)[-4000:]}")


@contextlib.contextmanager
def _database(options: Options, folder: Path, journal: Journal) -> Iterator[str]:
    """Create an empty database and yield its URL; keep the database if there are problems."""
    kind = options.kind
    if kind == "sqlite":
        with new_database(kind, folder) as url:
            yield url
        return
    name = f"chatrack_chaos_{secrets.token_hex(6)}"
    execute(kind, f"CREATE DATABASE {name}")
    try:
        yield SERVERS[kind].set(database=name).render_as_string(hide_password=False)
    finally:
        if not (options.keep and journal.problems):
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            execute(kind, f"DROP DATABASE {name}{force}")


def _summary(options: Options, journal: Journal) -> str:
    counts, shape = journal.counts, f"{options.clients} clients, {options.servers} servers"
    return f"""\
seed {options.seed}: {shape}, {options.seconds:g} s, {options.store}, lease {options.lease:g} s
{counts["kills"]} kills, {len(journal.threads)} threads, {len(journal.todos)} todos
turns: {counts["completed"]} completed, {counts["stopped"]} cancelled, {counts["killed"]} interrupted
{counts["unknown"]} requests killed unanswered, {counts["refused"]} refused with 409
{counts["retries"]} retries, {counts["renamed"]} renamings
longest stuck: {journal.stuck:.1f} s; largest loss: {journal.loss} tokens (five are a second)"""


def _evidence(journal: Journal, rows: stored.Stored) -> str:
    """Return everything about the threads that have problems."""
    lines = [
        f"- {problem.thread.id if problem.thread else 'no thread'}: {problem.text}"
        for problem in journal.problems
    ]
    for thread in {
        problem.thread.id: problem.thread for problem in journal.problems if problem.thread
    }.values():
        lines += ["", thread.id, *thread.log, "stored:"]
        lines += [
            f"{row.seq:5} {row.turn_id} {row.type} {row.id} hidden={row.hidden} "
            f"uncommitted={row.uncommitted} {row.data}"
            for row in rows.items[thread.id]
        ]
        lines.append(f"lease: {rows.leases.get(thread.id)}")
    return "\n".join(lines) + "\n"
