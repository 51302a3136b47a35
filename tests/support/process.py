"""Chatrack and the fake upstream in their own processes, for tests of signals, crashes and restarts."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.forked import Forked
from tests.support.serving import Chat
from tests.support.waiting import LIMIT, PROCESS_LIMIT, until

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
CHATRACK = Path(sys.executable).with_name("chatrack")

START = PROCESS_LIMIT
"""Seconds that a process may take to start."""

STOP = LIMIT
"""Seconds that a process may take to stop, beyond the grace period that it was given."""

NO_REUSE = httpx.Limits(max_connections=None, max_keepalive_connections=0)
"""No connection is used twice: a server closes idle ones when it likes, and a request may be on its way then."""

_URL = re.compile(r"\bready\b.*\burl=(http://\S+)")
_LISTENING = re.compile(r"listening on (http://\S+)")
_NEVER = ("Traceback", "was destroyed", "never retrieved", "never awaited", "database is locked")
_LEVELS = ("[warning", "[error", "[critical")


class Process:
    """A process with its output in a file. It leads a session, so that none of its children survives.

    Args:
        command: what to run.
        folder: where.
        log: the file for what it prints; replaced.
        environ: its environment.
        forked: whether it may be forked from one that has imported Chatrack already.
    """

    def __init__(
        self, command: list[str], folder: Path, log: Path, environ: dict[str, str], *, forked: bool
    ) -> None:
        self._log = log
        self.url = ""
        self._process: Any
        if forked:
            log.write_bytes(b"")
            self._process = Forked(command, cwd=folder, env=environ, log=log)
            return
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return int(self._process.pid)

    @property
    def running(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def send(self, number: int) -> None:
        """Send a signal to the process, not to its children."""
        self._process.send_signal(number)

    async def wait(self, seconds: float = STOP) -> int:
        """Wait until it has exited, and return its exit code."""
        await until(lambda: not self.running, seconds, lambda: f"it is still running:\n{self.log()}")
        return int(self._process.returncode)

    async def stop(self, number: int = signal.SIGTERM, seconds: float = STOP) -> int:
        """Send a signal, wait until it has exited, and return its exit code."""
        self.send(number)
        return await self.wait(seconds)

    def kill(self) -> None:
        """Kill it and all its children, whatever state they are in."""
        for number in (signal.SIGKILL, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        self._process.wait(STOP)

    async def _find_url(self, pattern: re.Pattern[str]) -> str:
        def find() -> str | None:
            found = pattern.search(self.log())
            if found is None and not self.running:
                raise AssertionError(f"it ended with {self._process.returncode}:\n{self.log()}")
            return found and found[1]

        return await until(find, START, lambda: f"it did not start:\n{self.log()}")


class Server(Process):
    """`chatrack serve` on a free port."""

    async def ready(self) -> "Server":
        """Wait until `/ready` says that it can serve."""
        self.url = await self._find_url(_URL)
        async with self.http() as http:

            async def is_ready() -> bool:
                return (await http.get("/ready")).status_code == 200

            await until(is_ready, START, self.log)
        return self

    @contextlib.asynccontextmanager
    async def http(self, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A plain HTTP client of it."""
        # `verify=False` saves loading certificates, which nothing here has.
        settings = {"timeout": LIMIT, "trust_env": False, "verify": False, "limits": NO_REUSE, **options}
        async with httpx.AsyncClient(base_url=self.url, **settings) as http:
            yield http

    @contextlib.asynccontextmanager
    async def chat(self) -> AsyncIterator[Chat]:
        """A ChatKit client of it."""
        async with self.http() as http:
            yield Chat(http)

    def workers(self) -> list[int]:
        """The process ids of its children, oldest first."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        return sorted(int(pid) for pid in listed.split())

    async def ready_workers(self, count: int) -> list[int]:
        """Wait until a number of workers serve, and return their process ids."""
        await until(lambda: len(_URL.findall(self.log())) >= count, START, self.log)
        return await until(
            lambda: (found := self.workers()) and len(found) == count and found, START, self.log
        )

    def assert_clean(self, *expected: str) -> None:
        """Assert that the log has no unexpected warning or error.

        Args:
            expected: warnings and errors with one of these texts are expected.
        """
        log = self.log()
        for text in _NEVER:
            assert text not in log, log
        unexpected = [
            line
            for line in log.splitlines()
            if any(level in line for level in _LEVELS) and not any(text in line for text in expected)
        ]
        assert not unexpected, "\n".join(unexpected)


class Upstream(Process):
    """The fake OpenAI."""

    async def ready(self) -> "Upstream":
        """Wait until it serves."""
        self.url = await self._find_url(_LISTENING) + "/v1"
        return self

    async def stats(self) -> dict[str, Any]:
        """Its counters."""
        address = self.url.removesuffix("/v1") + "/__stats"
        async with httpx.AsyncClient(timeout=LIMIT, trust_env=False, verify=False) as http:
            return dict((await http.get(address)).json())

    async def release(self, text: str = "") -> None:
        """Continue the answers that it holds back, also later ones, to requests with a text."""
        await self._post("/__release", text)

    async def reset(self) -> None:
        """Reset its counters, and let it hold answers back again."""
        await self._post("/__reset")

    async def _post(self, path: str, content: str = "") -> None:
        async with httpx.AsyncClient(timeout=LIMIT, trust_env=False, verify=False) as http:
            response = await http.post(self.url.removesuffix("/v1") + path, content=content)
            assert response.status_code == 200, response.text

    async def until(self, counter: str, at_least: int, seconds: float = LIMIT) -> dict[str, Any]:
        """Wait until a counter has reached a value, and return all counters."""
        stats: dict[str, Any] = {}

        async def reached() -> bool:
            stats.update(await self.stats())
            return stats[counter] >= at_least

        await until(reached, seconds, lambda: f"{counter} is not {at_least}: {stats}")
        return stats


class Processes:
    """Starts processes, and kills them all in the end.

    Args:
        folder: for their output.
    """

    def __init__(self, folder: Path) -> None:
        self.fresh = False
        """Whether servers are started by running the installed script itself."""
        self._folder = folder
        self._started: list[Process] = []

    def spawn(
        self, config: Path, *options: str, environ: dict[str, str] | None = None, port: int = 0
    ) -> Server:
        """Start a server, and do not wait for it.

        Args:
            config: its config file; it runs in that file's folder.
            options: more options of `chatrack serve`.
            environ: more variables than it needs to run at all.
            port: what it listens on; a free port by default.
        """
        command = [str(CHATRACK), "serve", "--config", config.name, "--port", str(port), *options]
        return self._start(Server, command, config.parent, environ or {})

    async def serve(self, config: Path, *options: str, environ: dict[str, str] | None = None) -> Server:
        """Start a server and wait until it serves; arguments as in `spawn`."""
        return await self.spawn(config, *options, environ=environ).ready()

    async def upstream(self) -> Upstream:
        """Start a fake OpenAI and wait until it serves."""
        command = [sys.executable, "-m", "tests.fake_openai", "--port", "0"]
        return await self._start(Upstream, command, ROOT, {}).ready()

    def kill(self) -> None:
        """Kill all processes."""
        for process in self._started:
            process.kill()

    def _start(self, kind: Callable[..., T], command: list[str], folder: Path, environ: dict[str, str]) -> T:
        log = self._folder / f"process-{len(self._started)}.log"
        environ = {**_plain_environ(), **environ}
        process: Any = kind(command, folder, log, environ, forked=not self.fresh)
        self._started.append(process)
        return process


def install(folder: Path, name: str, source: str) -> dict[str, str]:
    """Install a plugin for processes that are started with the returned environment.

    Args:
        folder: where to; other plugins may be there already.
        name: its name; its class is `Plugin`.
        source: its module.

    Returns:
        The environment in which it is found.
    """
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[chatrack]\n{name} = {name}:Plugin\n", encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Yield a starter of processes; kill those that are left in the end."""
    started = Processes(folder)
    try:
        yield started
    finally:
        started.kill()


def _plain_environ() -> dict[str, str]:
    """Return the environment that any process needs, without variables that configure Chatrack or a proxy."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {"PYTHONUNBUFFERED": "1", **{name: os.environ[name] for name in kept if name in os.environ}}
