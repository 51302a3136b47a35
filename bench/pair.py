"""What a part of the server costs: the same server without it and with it, in turns.

Prints the server's CPU time for a read and for a text delta, each the best of its rounds: what else the machine does only makes
them worse, and by more than the part could.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.cases import CONCURRENCY, READS
from bench.client import encode, run_answers, run_reads
from bench.processes import LOAD_CORE, cpu_seconds, free_port, pin, running
from bench.seed import create_thread, get_thread, list_items, list_threads, seed
from bench.sides import RESPONSES, ROOT, Chatrack

ROUNDS = 5
SECONDS = 4.0
ANSWERS = 16

_ANSWER = "fake-n1000"
"""The model. Its answers are long, so that what a part costs at the beginning of a turn is not taken for the cost of a delta."""

_DELTA = "delta"


class Without(Chatrack):
    """The server without the part."""

    name = "without"


class With(Chatrack):
    """The server with the part.

    Args:
        edit: makes its config of that of the other.
        request: makes its requests of those to the other.
    """

    name = "with"

    def __init__(self, edit: Callable[[str], str], request: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._edit = edit
        self.request = request

    def launch(self, port, base_url, model, api, directory):
        """See `Side.launch`."""
        launch = super().launch(port, base_url, model, api, directory)
        config = directory / "config.toml"
        config.write_text(self._edit(config.read_text()))
        return launch


async def _measure(
    side: Chatrack, port: int, base_url: str, thread_id: str, directory: Path
) -> dict[str, float]:
    requests = [
        list_threads(side.path),
        list_items(side.path, thread_id),
        get_thread(side.path, thread_id),
        create_thread(side.path),
    ]
    if isinstance(side, With):
        requests = [side.request(request) for request in requests]
    launch = side.launch(port, base_url, _ANSWER, RESPONSES, directory)
    async with running(launch.command, port, launch.ready, directory, launch.environment) as server:
        numbers = {}
        for name, request in zip(READS, requests, strict=False):
            await run_reads(port, request, 0.5, CONCURRENCY)
            before = cpu_seconds(server.pid)
            rate = await run_reads(port, request, SECONDS, CONCURRENCY)
            numbers[name] = (cpu_seconds(server.pid) - before) / (rate * SECONDS) * 1e6
        await run_answers(port, requests[-1], 4, 1)
        before = cpu_seconds(server.pid)
        deltas, _ = await run_answers(port, requests[-1], ANSWERS, CONCURRENCY)
        numbers[_DELTA] = (cpu_seconds(server.pid) - before) / deltas * 1e6
    return numbers


async def _run(part: With) -> dict[str, dict[str, list[float]]]:
    samples: dict[str, dict[str, list[float]]] = {}
    upstream_port = free_port()
    upstream = [sys.executable, "-m", "tests.fake_openai", "--port", str(upstream_port)]
    with TemporaryDirectory(prefix="bench-pair-") as name:
        directory = Path(name)
        environment = {"PYTHONPATH": str(ROOT)}
        (directory / "upstream").mkdir()
        async with running(
            upstream,
            upstream_port,
            encode("/__stats", None),
            directory / "upstream",
            environment,
            core=LOAD_CORE,
        ):
            base_url = f"http://127.0.0.1:{upstream_port}/v1"
            plain = Without()
            port = free_port()
            launch = plain.launch(port, base_url, "fake-n8", RESPONSES, directory)
            async with running(launch.command, port, launch.ready, directory, launch.environment):
                thread_id = await seed(port, plain.path)
            for number in range(ROUNDS):
                for side in (plain, part):
                    print(f"{number + 1}/{ROUNDS} {side.name}", file=sys.stderr, flush=True)
                    numbers = await _measure(side, free_port(), base_url, thread_id, directory)
                    for metric, value in numbers.items():
                        samples.setdefault(metric, defaultdict(list))[side.name].append(value)
    return samples


def _report(samples: dict[str, dict[str, list[float]]], read_target: float, delta_target: float) -> int:
    missed = 0
    print(f"{'CPU time':20}{'unit':>6}{'without':>10}{'with':>10}{'ratio':>8}{'target':>9}  ok")
    for metric, sides in samples.items():
        target = delta_target if metric == _DELTA else read_target
        without, with_part = min(sides[Without.name]), min(sides[With.name])
        ratio = with_part / without
        ok = ratio <= target
        missed += not ok
        numbers = f"{without:10.1f}{with_part:10.1f}{ratio:8.3f}"
        print(f"{metric:20}{'µs':>6}{numbers}{f'<= {target:.2f}':>9}  {'yes' if ok else 'NO'}")
    return int(missed > 0)


def compare(
    edit: Callable[[str], str],
    request: Callable[[bytes], bytes] = lambda request: request,
    *,
    read_target: float = 1.10,
    delta_target: float = 1.05,
) -> int:
    """Run the benchmark of a part, and return 1 if a target is missed.

    Args:
        edit: makes the config of the server with the part of that of the other.
        request: makes the requests to it of those to the other.
        read_target: the largest ratio of its CPU time for a read to that of the other.
        delta_target: the same for a delta.
    """
    pin(LOAD_CORE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        samples = runner.run(_run(With(edit, request)))
    return _report(samples, read_target, delta_target)
