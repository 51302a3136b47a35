"""``python -m bench.tokens``: what a verified token costs.

The same server over the same database, without an authenticator and with `jwt_auth`, in turns. Prints requests per
second of reads and the CPU time per text delta, each the best of its rounds: what else the machine does only makes
them worse, and by more than a token could. Returns 1 if a ratio misses its target.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt
import uvloop

from bench.cases import CONCURRENCY, READS
from bench.client import encode, run_answers, run_reads
from bench.processes import LOAD_CORE, cpu_seconds, free_port, pin, running
from bench.seed import create_thread, get_thread, list_items, list_threads, seed
from bench.sides import RESPONSES, ROOT, Chatrack

ROUNDS = 5
SECONDS = 4.0
ANSWERS = 48
READ_TARGET = 0.90
DELTA_TARGET = 1.05

_SECRET = "the secret of a benchmark on loopback"
_DELTA = "CPU per delta"


class _WithTokens(Chatrack):
    """The server with `jwt_auth`."""

    name = "with a token"

    def launch(self, port, base_url, model, api, directory):
        """See `Side.launch`."""
        launch = super().launch(port, base_url, model, api, directory)
        config = directory / "config.toml"
        text = config.read_text().replace("enabled = [", 'enabled = ["jwt_auth", ')
        config.write_text(f'{text}[plugins.jwt_auth]\nsecret = "{_SECRET}"\n')
        return launch


class _Without(Chatrack):
    name = "without"


def _with_token(request: bytes) -> bytes:
    """Add the token of the local user, whose threads the server without an authenticator has stored."""
    claims = {
        "sub": "local",
        "exp": int(time.time()) + 86_400,
        "iss": "https://issuer.example.com/",
        "aud": "chat",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "roles": ["editor", "reader"],
    }
    line, _, rest = request.partition(b"\r\n")
    header = f"Authorization: Bearer {jwt.encode(claims, _SECRET)}".encode()
    return b"\r\n".join([line, header, rest])


async def _measure(
    side: Chatrack, port: int, base_url: str, thread_id: str, directory: Path
) -> dict[str, float]:
    requests = [
        list_threads(side.path),
        list_items(side.path, thread_id),
        get_thread(side.path, thread_id),
        create_thread(side.path),
    ]
    if isinstance(side, _WithTokens):
        requests = [_with_token(request) for request in requests]
    launch = side.launch(port, base_url, "fake-n200", RESPONSES, directory)
    async with running(launch.command, port, launch.ready, directory, launch.environment) as server:
        numbers = {}
        for name, request in zip(READS, requests, strict=False):
            await run_reads(port, request, 0.5, CONCURRENCY)
            numbers[name] = await run_reads(port, request, SECONDS, CONCURRENCY)
        await run_answers(port, requests[-1], 4, 1)
        before = cpu_seconds(server.pid)
        deltas, _ = await run_answers(port, requests[-1], ANSWERS, CONCURRENCY)
        numbers[_DELTA] = (cpu_seconds(server.pid) - before) / deltas * 1e6
    return numbers


async def _run() -> int:
    samples: dict[str, dict[str, list[float]]] = {}
    upstream_port = free_port()
    upstream = [sys.executable, "-m", "tests.fake_openai", "--port", str(upstream_port)]
    with TemporaryDirectory(prefix="bench-tokens-") as name:
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
            plain = _Without()
            port = free_port()
            launch = plain.launch(port, base_url, "fake-n8", RESPONSES, directory)
            async with running(launch.command, port, launch.ready, directory, launch.environment):
                thread_id = await seed(port, plain.path)
            for number in range(ROUNDS):
                for side in (plain, _WithTokens()):
                    print(f"{number + 1}/{ROUNDS} {side.name}", file=sys.stderr, flush=True)
                    numbers = await _measure(side, free_port(), base_url, thread_id, directory)
                    for metric, value in numbers.items():
                        samples.setdefault(metric, defaultdict(list))[side.name].append(value)
    return _report(samples)


def _report(samples: dict[str, dict[str, list[float]]]) -> int:
    missed = 0
    print(f"{'metric':20}{'unit':>7}{'without':>10}{'with':>10}{'ratio':>8}{'target':>9}  ok")
    for metric, sides in samples.items():
        is_delta = metric == _DELTA
        best = min if is_delta else max
        without, with_token = best(sides[_Without.name]), best(sides[_WithTokens.name])
        ratio = with_token / without
        ok = ratio <= DELTA_TARGET if is_delta else ratio >= READ_TARGET
        missed += not ok
        unit, target = ("µs", f"<= {DELTA_TARGET}") if is_delta else ("req/s", f">= {READ_TARGET:.2f}")
        print(
            f"{metric:20}{unit:>7}{without:10.1f}{with_token:10.1f}{ratio:8.3f}{target:>9}  {'yes' if ok else 'NO'}"
        )
    return int(missed > 0)


def main() -> int:
    """Run the benchmark, and return 1 if a target is missed."""
    pin(LOAD_CORE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run())


if __name__ == "__main__":
    sys.exit(main())
