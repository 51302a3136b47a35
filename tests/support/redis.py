"""Redis for tests: the service of this machine, and servers of a test's own that it stops and starts."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.waiting import until

REDIS = os.environ.get("CHATRACK_TEST_REDIS", "redis://127.0.0.1:6379")
"""The URL of the service."""


def require_redis() -> str:
    """Return the URL of the service, or skip the test if it does not answer."""
    url = urlsplit(REDIS)
    try:
        with socket.create_connection((url.hostname, url.port or 6379), timeout=5) as sock:
            sock.sendall(b"PING\r\n")
            assert sock.recv(1)
    except OSError as error:
        pytest.skip(f"redis does not answer at {url.hostname}:{url.port}: {error}")
    return REDIS


class OwnRedis:
    """A Redis server that a test stops and starts. It forgets everything when it is stopped.

    Args:
        folder: where it runs.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        self._program = program
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = {"--port": self.port, "--bind": "127.0.0.1", "--save": "", "--appendonly": "no"}
        given = [str(part) for pair in arguments.items() for part in pair]
        self._process = await asyncio.create_subprocess_exec(
            self._program, *given, cwd=self._folder, stdout=asyncio.subprocess.DEVNULL
        )

        async def answers() -> bool:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
                    await writer.wait_closed()
            return False

        await until(answers)

    def pause(self) -> None:
        """Let it keep its connections, and answer nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        """Kill it, and wait until it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def own_redis(folder: Path) -> AsyncIterator[OwnRedis]:
    """Yield a running Redis server; skip the test if none is installed."""
    server = OwnRedis(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
