"""Starts and stops servers, and reads their CPU time and memory from /proc (Linux only)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.client import HttpError, fetch

SERVER_CORE = 0
LOAD_CORE = 1
START_TIMEOUT = 60.0
POLL = 0.005
_TICKS = os.sysconf("SC_CLK_TCK")


_CORES = os.sched_getaffinity(0)


def pin(core: int) -> None:
    """Pin this process and its future children to one core, if that core is available."""
    if core in _CORES:
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name, which may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_fields(int(path.name))[1]), []).append(int(path.name))
    found = [pid]
    for parent in found:  # grows while it is walked
        found.extend(children.get(parent, []))
    return found


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process tree so far, in seconds, to a clock tick (10 ms)."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = _fields(member)
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def core_times() -> dict[str, tuple[int, int]]:
    """Return the idle and total clock ticks so far, of each core (``cpu0``, …) and of all (``cpu``)."""
    times = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu"):
            ticks = [
                int(field) for field in fields[:8]
            ]  # the ticks of guests follow, which are counted already
            times[name] = (ticks[3] + ticks[4], sum(ticks))  # idle and waiting for a disk
    return times


def idle_shares(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> dict[str, float]:
    """Return the share of time each core was idle between two `core_times`."""
    shares = {}
    for name, (idle, total) in after.items():
        idle_before, total_before = before[name]
        shares[name] = (idle - idle_before) / max(1, total - total_before)
    return shares


def memory(pid: int, kind: str = "Pss") -> int:
    """Return `Pss` or `Rss` of a process tree, in bytes."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{kind}:"):
                    total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process id, its port, and the seconds from spawn to first answer."""

    pid: int
    port: int
    start_seconds: float


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _until_ready(process: subprocess.Popen[bytes], port: int, request: bytes, log: Path) -> float:
    """Poll until the server answers, and return the `time.perf_counter()` of the answer."""
    deadline = time.perf_counter() + START_TIMEOUT
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode}:\n{_tail(log)}")
        with contextlib.suppress(OSError, HttpError):
            await fetch(port, request, timeout=5)
            return time.perf_counter()
        await asyncio.sleep(POLL)
    raise TimeoutError(f"the server did not answer within {START_TIMEOUT} s:\n{_tail(log)}")


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate the server's process group; kill it after three seconds."""
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            if process.poll() is not None:
                return
            await asyncio.sleep(0.02)


def _spawn(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path, core: int
) -> tuple[subprocess.Popen[bytes], float]:
    """Start a process on a core, and return it with the `time.perf_counter()` of its start."""
    mine = os.sched_getaffinity(0)
    pin(core)  # inherited by the child, whose first instruction runs on this core already
    try:
        with log.open("ab") as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                list(command),
                cwd=directory,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
    finally:
        os.sched_setaffinity(0, mine)
    return process, began


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str],
    port: int,
    ready: bytes,
    directory: Path,
    environment: Mapping[str, str],
    core: int = SERVER_CORE,
) -> AsyncIterator[Server]:
    """Run a server for the duration of the context.

    `ready` is the encoded request that is polled until it gets a 200; output goes to
    ``server.log`` in `directory`. Raises `RuntimeError` if the server exits, `TimeoutError` if it
    does not answer in time.
    """
    log = directory / "server.log"
    process, began = _spawn(command, directory, environment, log, core)
    try:
        ready_at = await _until_ready(process, port, ready, log)
        yield Server(process.pid, port, ready_at - began)
    finally:
        await _stop(process)
