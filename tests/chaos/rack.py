"""Several servers over one database, of which one is killed from time to time."""

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from bench.processes import free_port
from tests.support.process import Processes, Server
from tests.support.serving import Chat
from tests.support.waiting import LIMIT


class Instance:
    """A server process from its start to its end.

    Args:
        name: the number of the server and of its life.
        server: the process; it serves.
    """

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self.server = server
        self.killed_at: float | None = None
        """When it was killed, on the monotonic clock."""
        # No connection is used twice: a server closes those that are idle whenever it likes.
        self.http = httpx.AsyncClient(
            base_url=server.url,
            timeout=LIMIT,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )
        self.chat = Chat(self.http)

    async def open(self, kind: str, params: dict[str, Any]) -> httpx.Response:
        """Send a streaming request, and return the response when its headers have arrived."""
        body = {"type": kind, "params": params}
        return await self.http.send(self.http.build_request("POST", self.chat.path, json=body), stream=True)


class Rack:
    """The servers.

    Args:
        processes: starts them.
        config: their config file.
        count: how many there are.
    """

    def __init__(self, processes: Processes, config: Path, count: int) -> None:
        self.instances: list[Instance] = []
        """All that were ever started."""
        self._processes = processes
        self._config = config
        self._ports = [free_port() for _ in range(count)]
        self._serving: dict[int, Instance] = {}
        self._lives = [0] * count
        self._starting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start all at once."""
        await asyncio.gather(*map(self._start, range(len(self._ports))))

    async def pick(self, rng: random.Random) -> Instance:
        """Return a server that serves."""
        [instance] = await self.sample(rng, 1)
        return instance

    async def sample(self, rng: random.Random, count: int) -> list[Instance]:
        """Return several servers that serve, all different if there are enough."""
        while not self._serving:
            await asyncio.sleep(0.05)
        serving = [self._serving[number] for number in sorted(self._serving)]
        rng.shuffle(serving)
        return [serving[number % len(serving)] for number in range(count)]

    async def kill_one(self, rng: random.Random) -> None:
        """Kill a server, and start it again without waiting for it."""
        while not self._serving:
            await asyncio.sleep(0.05)
        number = rng.choice(sorted(self._serving))
        victim = self._serving.pop(number)
        victim.killed_at = time.monotonic()
        code = await victim.server.stop(signal.SIGKILL)
        assert code == -signal.SIGKILL, f"{victim.name} ended with {code}"
        starting = asyncio.create_task(self._start(number))
        self._starting.add(starting)

    async def stop(self) -> dict[str, int]:
        """Stop all servers with SIGTERM, and return their exit codes by name."""
        await asyncio.gather(*self._starting)
        left = list(self._serving.values())
        self._serving.clear()
        codes = await asyncio.gather(*(instance.server.stop() for instance in left))
        return dict(zip((instance.name for instance in left), codes, strict=True))

    async def close(self) -> None:
        """Close the clients of all servers."""
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*(instance.http.aclose() for instance in self.instances))

    async def _start(self, number: int) -> None:
        self._lives[number] += 1
        server = await self._processes.spawn(self._config, port=self._ports[number]).ready()
        instance = Instance(f"server {number}, life {self._lives[number]}", server)
        self.instances.append(instance)
        self._serving[number] = instance
