"""``python -m bench``: compare the server with the stock stack, and print a table of medians."""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.cases import CASES, Case, Setting
from bench.client import encode
from bench.processes import LOAD_CORE, free_port, pin, running
from bench.sides import ROOT, Chatrack, Side, Stock
from bench.table import missed, render

RUNS = 5
OPEN_FILES = 8192
SIDES: dict[str, type[Stock | Chatrack]] = {"stock": Stock, "chatrack": Chatrack}


def _names(text: str) -> list[Case]:
    cases = {case.name: case for case in CASES}
    try:
        return [cases[name] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"no case {error}; there are {', '.join(cases)}") from None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, help=f"runs of each side (default {RUNS}, or 1 with --quick)")
    parser.add_argument("--only", type=_names, default=list(CASES), metavar="NAME[,NAME]",
                        help="cases to run: " + ", ".join(case.name for case in CASES))  # fmt: skip
    parser.add_argument("--side", choices=SIDES, help="measure one side only")
    parser.add_argument("--quick", action="store_true", help="smaller loads, for a quick look")
    arguments = parser.parse_args()
    if arguments.side != Stock.name and not Chatrack.command.exists():
        parser.error(f"{Chatrack.command} is not installed; --side {Stock.name} does without it")
    return arguments


async def _measure(
    cases: Sequence[Case], sides: Sequence[Side], runs: int, *, quick: bool
) -> dict[str, dict[str, list[float]]]:
    """Run each case on the sides in turn, and return the samples by side and metric."""
    samples: dict[str, dict[str, list[float]]] = {side.name: defaultdict(list) for side in sides}
    port = free_port()
    command = [sys.executable, "-m", "tests.fake_openai", "--port", str(port)]
    with TemporaryDirectory(prefix="bench-upstream-") as name:
        ready = encode("/__stats", None)
        async with running(command, port, ready, Path(name), {"PYTHONPATH": str(ROOT)}, core=LOAD_CORE):
            setting = Setting(f"http://127.0.0.1:{port}/v1", quick)
            for case in cases:
                for run in range(runs):
                    # Chatrack goes first: it determines the load at which the stock stack is measured.
                    for side in reversed(sides):
                        print(f"{case.name} {run + 1}/{runs} {side.name}", file=sys.stderr, flush=True)
                        for metric, number in (await case.run(side, setting)).items():
                            samples[side.name][metric].append(number)
    return samples


def main() -> int:
    """Run the benchmarks, and return 1 if a target is missed."""
    arguments = _arguments()
    sides: list[Side] = [kind() for name, kind in SIDES.items() if arguments.side in (None, name)]
    runs = arguments.runs or (1 if arguments.quick else RUNS)
    # A server with 500 open streams has twice as many sockets; children inherit the limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    pin(LOAD_CORE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        samples = runner.run(_measure(arguments.only, sides, runs, quick=arguments.quick))
    metrics = [metric for case in arguments.only for metric in case.metrics]
    print(render(metrics, samples, [side.name for side in sides]))
    return 1 if missed(metrics, samples) else 0


if __name__ == "__main__":
    sys.exit(main())
