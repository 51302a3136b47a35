"""``python -m bench.stores``: reads over each available store, and the cost of a long thread.

Prints requests per second over a thread of `SHORT` items, and for `items.list` and the history read of a
turn the ratio of the cost in a thread of `LONG` items. Both threads are longer than the history window, so
that both turns read the same amount. Returns 1 if a ratio is above `TARGET`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from chatkit.types import AssistantMessageContent, AssistantMessageItem

from bench.cases import CONCURRENCY
from bench.client import encode, run_reads
from bench.databases import KINDS, PLUGINS, missing, new_database, store_tables
from bench.processes import LOAD_CORE, free_port, pin, running
from bench.seed import get_thread, list_items, list_threads
from bench.sides import Chatrack
from chatrack import RequestContext
from chatrack.clock import now, to_micros
from chatrack.ids import new_id
from chatrack.interfaces import LOCAL_USER, ThreadRecord
from chatrack.interfaces.records import item_to_record
from chatrack.sql import Database, SQLStore, migrate, store_migrations

SHORT, LONG = 100, 100_000
THREADS = 100
TARGET = 1.2
BUDGET = 32_000 * 4
SECONDS = 3.0
HISTORY_READS = 200
ROUNDS = 5

_CONFIG = """\
enabled = ["{plugin}", "demo_provider"]
[server]
port = {port}
log_level = "warning"
[agents.bench]
instructions = "You are helpful."
model = "demo"
{tables}
"""
_CONTEXT = RequestContext(user=LOCAL_USER, request_id="req_bench")


async def _fill(store: SQLStore, count: int) -> str:
    """Create a thread with a number of items of 2 KB, and return its id."""
    record = ThreadRecord(id=new_id("thread"), created_at=to_micros(now()), title="Bench")
    turn = new_id("turn")
    lease = await store.begin_turn(record.id, _CONTEXT, turn_id=turn, seconds=600, create=record)
    for begin in range(0, count, 500):
        items = [
            AssistantMessageItem(
                id=new_id("message"),
                thread_id=record.id,
                created_at=now(),
                content=[AssistantMessageContent(text=f"{begin + number} " + "words " * 300)],
            )
            for number in range(min(500, count - begin))
        ]
        turns = [f"{turn}{(begin + number) // 4}" for number in range(len(items))]
        await store.write(
            lease, [item_to_record(item, turn_id=turn_id) for item, turn_id in zip(items, turns, strict=True)]
        )
    await store.end_turn(lease)
    return record.id


async def _history(store: SQLStore, threads: list[str]) -> list[float]:
    """Return the median milliseconds of a turn's history read, by thread; measured alternately."""
    times: dict[str, list[float]] = {thread: [] for thread in threads}
    for _ in range(HISTORY_READS):
        for thread in threads:
            began = time.perf_counter()
            await store.load_history(thread, _CONTEXT, budget=BUDGET)
            times[thread].append(time.perf_counter() - began)
    return [statistics.median(times[thread]) * 1e3 for thread in threads]


async def _rates(port: int, requests: dict[str, bytes]) -> dict[str, float]:
    """Return the median requests per second of each; measured alternately."""
    rates: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(ROUNDS):
        for name, request in requests.items():
            rates[name].append(await run_reads(port, request, SECONDS / ROUNDS, CONCURRENCY))
    return {name: statistics.median(found) for name, found in rates.items()}


async def measure(kind: str, url: str, directory: Path) -> dict[str, float]:
    """Fill a database, and measure a server over it."""
    database = Database(url)
    await database.start()
    await migrate(store_migrations(database))
    store = SQLStore(database)
    for _ in range(THREADS):
        await _fill(store, 2)
    short, long = await _fill(store, SHORT), await _fill(store, LONG)
    if kind == "postgresql":  # what autovacuum does within a minute
        await database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
    history = await _history(store, [short, long])
    await database.stop()
    port = free_port()
    config = directory / "config.toml"
    pool = {} if kind == "sqlite" else {"pool_size": 10, "max_overflow": 10}
    tables = store_tables(kind, url, **pool)
    config.write_text(_CONFIG.format(plugin=PLUGINS[kind], port=port, tables=tables))
    command = [str(Chatrack.command), "serve", "--config", str(config)]
    async with running(command, port, encode("/ready", None), directory, {}) as server:
        rates = await _rates(
            server.port,
            {
                "threads.list": list_threads(Chatrack.path),
                "items.list": list_items(Chatrack.path, short),
                "threads.get_by_id": get_thread(Chatrack.path, short),
                "long": list_items(Chatrack.path, long),
            },
        )
    long_rate = rates.pop("long")
    return {
        **rates,
        "items.list, long/short": rates["items.list"] / long_rate,
        "history, ms": history[0],
        "history, long/short": history[1] / history[0],
    }


async def _measure_all() -> dict[str, dict[str, float]]:
    results = {}
    for kind in KINDS:
        reason = missing(kind)
        if reason is not None:
            print(f"{kind}: skipped, {reason}", file=sys.stderr)
            continue
        print(kind, file=sys.stderr, flush=True)
        with TemporaryDirectory(prefix=f"bench-{kind}-") as name, new_database(kind, Path(name)) as url:
            results[kind] = await measure(kind, url, Path(name))
    return results


def main() -> int:
    """Measure all stores, and return 1 if a long thread costs too much."""
    pin(LOAD_CORE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(_measure_all())
    columns = list(next(iter(results.values())))
    print("  ".join(["store".ljust(12), *columns]))
    for kind, numbers in results.items():
        cells = [f"{numbers[name]:.{0 if number < 3 else 2}f}" for number, name in enumerate(columns)]
        padded = [cell.rjust(len(name)) for cell, name in zip(cells, columns, strict=True)]
        print("  ".join([kind.ljust(12), *padded]))
    ratios = [numbers[name] for numbers in results.values() for name in columns if "long" in name]
    return 1 if max(ratios) > TARGET else 0


if __name__ == "__main__":
    sys.exit(main())
