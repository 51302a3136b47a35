"""The benchmark cases. Each starts a side's server anew and returns its numbers by metric."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench import gaps
from bench.client import encode, fetch, open_streams, run_answers, run_reads
from bench.processes import LOAD_CORE, SERVER_CORE, core_times, cpu_seconds, idle_shares, memory
from bench.seed import create_thread, get_thread, list_items, list_threads, seed
from bench.sides import CHAT, RESPONSES, Bare, Side, started

CONCURRENCY = 8
OPEN_STREAMS = 500
IDLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Setting:
    """The parameters of a run.

    Args:
        base_url: the model API's URL, ending in ``/v1``.
        quick: whether to use smaller loads.
        loads: the load that each case settled on, by the case's name; its later runs have the same.
    """

    base_url: str
    quick: bool = False
    loads: dict[str, int] = field(default_factory=dict)

    def pick(self, full: int, quick: int) -> int:
        """Return the size for this kind of run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that is compared.

    `target` is the bound of chatrack / stock, or of Chatrack's own number if `absolute`; a lower bound if
    `more_is_better`.
    """

    name: str
    unit: str
    target: float | None
    more_is_better: bool = False
    digits: int = 1
    absolute: bool = False

    def holds(self, number: float) -> bool:
        """Return whether a ratio, or a number if `absolute`, meets the target; True without a target."""
        if self.target is None:
            return True
        return number >= self.target if self.more_is_better else number <= self.target


@dataclass(frozen=True, slots=True)
class Case:
    """A named measurement of one side, and the metrics it yields, in the table's order."""

    name: str
    run: Callable[[Side, Setting], Awaitable[dict[str, float]]]
    metrics: tuple[Metric, ...]


async def measure_cpu(side: Side, setting: Setting) -> dict[str, float]:
    """Measure the CPU time of the server per text delta that the client receives, in µs, on each model API."""
    numbers: dict[str, float] = {}
    request = create_thread(side.path)
    for api, label in ((RESPONSES, "Responses"), (CHAT, "Chat")):
        async with started(side, setting.base_url, "fake-n200", api) as server:
            await run_answers(server.port, request, 4, 1)
            for concurrency, answers in ((1, setting.pick(30, 10)), (CONCURRENCY, setting.pick(48, 16))):
                before = cpu_seconds(server.pid)
                deltas, _ = await run_answers(server.port, request, answers, concurrency)
                used = cpu_seconds(server.pid) - before
                numbers[f"CPU per delta, {label}, x{concurrency}"] = used / deltas * 1e6
    return numbers


async def measure_first_delta(side: Side, setting: Setting) -> dict[str, float]:
    """Measure the median time from a request until its first text delta, in ms, on each model API."""
    numbers: dict[str, float] = {}
    request = create_thread(side.path)
    for api, label in ((RESPONSES, "Responses"), (CHAT, "Chat")):
        async with started(side, setting.base_url, "fake-n8", api) as server:
            await run_answers(server.port, request, 10, 1)
            _, waits = await run_answers(server.port, request, setting.pick(100, 30), 1)
            numbers[f"first delta, {label}"] = statistics.median(waits) * 1e3
    return numbers


READS = ("threads.list", "items.list", "threads.get_by_id")


async def measure_reads(side: Side, setting: Setting) -> dict[str, float]:
    """Measure requests per second over a seeded database, absolutely and relative to the bare app."""
    seconds = setting.pick(4, 1)
    async with started(side, setting.base_url, "fake-n8") as server:
        thread_id = await seed(server.port, side.path)
        requests = (
            list_threads(side.path),
            list_items(side.path, thread_id),
            get_thread(side.path, thread_id),
        )
        rates = [await _rate(server.port, request, seconds) for request in requests]
    async with started(Bare(), "", "") as server:
        threads = await _rate(server.port, encode("/threads", None), seconds)
        items = await _rate(server.port, encode("/items", None), seconds)
    numbers = dict(zip(READS, rates, strict=True))
    for name, rate, floor in zip(READS, rates, (threads, items, items), strict=True):
        numbers[f"{name} / bare"] = rate / floor
    return numbers


async def _rate(port: int, request: bytes, seconds: float) -> float:
    await run_reads(port, request, 0.3, CONCURRENCY)
    return await run_reads(port, request, seconds, CONCURRENCY)


async def measure_memory(side: Side, setting: Setting) -> dict[str, float]:
    """Measure PSS at rest after one answer, in MiB, and the increase per further open stream, in KiB."""
    request = create_thread(side.path)
    async with started(side, setting.base_url, "fake-n8") as server:
        await fetch(server.port, request)
        await asyncio.sleep(IDLE_SECONDS)
        rest = memory(server.pid)
    count = setting.pick(OPEN_STREAMS, 100)
    async with started(side, setting.base_url, "fake-n1000-d500") as server:
        first = await open_streams(server.port, request, 1)
        await asyncio.sleep(IDLE_SECONDS)
        before = memory(server.pid)
        streams = await open_streams(server.port, request, count)
        await asyncio.sleep(IDLE_SECONDS)
        after = memory(server.pid)
        for connection in (*first, *streams):
            connection.close()
    return {"memory at rest": rest / 2**20, "memory per open stream": (after - before) / count / 2**10}


async def measure_start(side: Side, setting: Setting) -> dict[str, float]:
    """Measure the time from spawning the server until its first answer, in ms."""
    async with started(side, setting.base_url, "fake-n8") as server:
        return {"start to ready": server.start_seconds * 1e3}


LOADS = (OPEN_STREAMS, 400, 320, 256, 200, 160, 128, 100, 80, 64, 50)
PER_SECOND = 20  # text deltas of each stream
PACED = "fake-n2000-d50"  # lasts 100 s, longer than opening the streams and the window
WARM_SECONDS = 3.0
LEAST_IDLE = 15.0


async def measure_gaps(side: Side, setting: Setting) -> dict[str, float]:
    """Measure the gaps in many streams at once, in ms, and the idle share of the cores meanwhile, in %.

    The first run reduces the number of streams from `OPEN_STREAMS` until the machine is idle for `LEAST_IDLE`
    percent of the time; later runs, of the other side too, have that number of streams. Each step is printed.
    The cores are reported one by one as well, because a server that lags behind fills a single core. On the
    server's core, other programs used what its CPU share and the idle share lack to 100 %.
    """
    settled = setting.loads.get("gaps")
    loads = [settled] if settled else [load for load in LOADS if load <= setting.pick(OPEN_STREAMS, 100)]
    numbers: dict[str, float] = {}
    for load in loads:
        numbers = await _gaps(side, setting, load)
        setting.loads["gaps"] = load
        summary = ", ".join(f"{name} {number:.1f}" for name, number in numbers.items())
        print(f"  {summary}", file=sys.stderr, flush=True)
        if numbers["idle, machine"] >= LEAST_IDLE:
            break
    return numbers


async def _gaps(side: Side, setting: Setting, load: int) -> dict[str, float]:
    async with started(side, setting.base_url, PACED) as server:
        await fetch(server.port, list_threads(side.path))
        streams = await gaps.open_streams(server.port, create_thread(side.path), load)
        await asyncio.sleep(WARM_SECONDS)
        used, cores = cpu_seconds(server.pid), core_times()
        seen = await gaps.watch(streams, setting.pick(10, 3))
        idle = idle_shares(cores, core_times())
        used = cpu_seconds(server.pid) - used
        for stream in streams:
            stream.transport.abort()
    return {
        "streams": load,
        "streams ended or not begun": seen.lost,
        "gap, p50": seen.p50 * 1e3,
        "gap, p99": seen.p99 * 1e3,
        "gap, p99 of the worst stream": seen.worst_p99 * 1e3,
        "gap, longest": seen.longest * 1e3,
        "deltas": seen.deltas / seen.seconds,
        "deltas / ideal": seen.deltas / seen.seconds / (load * PER_SECOND) * 100,
        "idle, machine": idle["cpu"] * 100,
        "idle, server's core": idle[f"cpu{SERVER_CORE}"] * 100,
        "idle, load's core": idle.get(f"cpu{LOAD_CORE}", idle["cpu"]) * 100,
        "CPU of the server": used / seen.seconds * 100,
    }


def _cpu(label: str, concurrency: int) -> Metric:
    return Metric(f"CPU per delta, {label}, x{concurrency}", "µs", 0.40)


CASES = (
    Case(
        "cpu",
        measure_cpu,
        tuple(_cpu(label, count) for label in ("Responses", "Chat") for count in (1, CONCURRENCY)),
    ),
    Case(
        "ttfd",
        measure_first_delta,
        tuple(Metric(f"first delta, {label}", "ms", 0.7, digits=2) for label in ("Responses", "Chat")),
    ),
    Case(
        "reads",
        measure_reads,
        (
            *(Metric(name, "req/s", 5.0, more_is_better=True, digits=0) for name in READS),
            *(Metric(f"{name} / bare", "x", None, more_is_better=True, digits=3) for name in READS),
        ),
    ),
    Case(
        "memory",
        measure_memory,
        (Metric("memory at rest", "MiB", 1.35), Metric("memory per open stream", "KiB", 1.05)),
    ),
    Case(
        "gaps",
        measure_gaps,
        (
            Metric("streams", "", None, more_is_better=True, digits=0),
            Metric("streams ended or not begun", "", None, digits=0),
            Metric("gap, p50", "ms", None),
            Metric("gap, p99", "ms", 250, absolute=True),
            Metric("gap, p99 of the worst stream", "ms", None),
            Metric("gap, longest", "ms", None),
            Metric("deltas", "1/s", None, more_is_better=True, digits=0),
            Metric("deltas / ideal", "%", None, more_is_better=True),
            *(
                Metric(f"idle, {where}", "%", None, more_is_better=True)
                for where in ("machine", "server's core", "load's core")
            ),
            Metric("CPU of the server", "%", None),
        ),
    ),
    Case("start", measure_start, (Metric("start to ready", "ms", 1.6, digits=0),)),
)
