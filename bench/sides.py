"""The servers that are compared, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from bench.client import encode
from bench.processes import Server, free_port, running
from bench.seed import list_threads

ROOT = Path(__file__).resolve().parent.parent
RESPONSES = "responses"
CHAT = "chat_completions"

_CONFIG = """\
enabled = ["sqlite_store", "openai_provider", "todo_tools"]
[server]
host = "127.0.0.1"
port = {port}
log_level = "warning"
[chat]
agent = "bench"
model = "openai/{model}"
[agents.bench]
instructions = "You are helpful."
tools = ["create_todo"]
[plugins.sqlite_store]
path = "bench.db"
[plugins.openai_provider]
api_key = "sk-bench"
base_url = "{base_url}"
api = "{api}"
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server: its command, a request that succeeds when it is ready, its environment."""

    command: list[str]
    ready: bytes
    environment: dict[str, str] = field(default_factory=dict)


class Side(Protocol):
    """A server under test; `path` is the path of its ChatKit requests."""

    name: str
    path: str

    def launch(self, port: int, base_url: str, model: str, api: str, directory: Path) -> Launch:
        """Prepare `directory`, the server's working directory, and return how to start the server there.

        `base_url` is the model API's, ending in ``/v1``; `api` is `RESPONSES` or `CHAT`.
        """
        ...


def _uvicorn(app: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--no-access-log"]


class Stock:
    """FastAPI with the SDK's quickstart."""

    name = "stock"
    path = "/chatkit"

    def launch(self, port: int, base_url: str, model: str, api: str, directory: Path) -> Launch:
        """See `Side.launch`."""
        environment = {
            "PYTHONPATH": str(ROOT),
            "STOCK_DB": str(directory / "stock.db"),
            "STOCK_BASE_URL": base_url,
            "STOCK_API": api,
            "STOCK_MODEL": model,
        }
        return Launch(_uvicorn("bench.stock.app:app", port), list_threads(self.path), environment)


class Chatrack:
    """The installed server of this project."""

    name = "chatrack"
    path = "/chatkit/api"
    command = Path(sys.executable).with_name("chatrack")

    def launch(self, port: int, base_url: str, model: str, api: str, directory: Path) -> Launch:
        """See `Side.launch`."""
        config = directory / "config.toml"
        config.write_text(_CONFIG.format(port=port, base_url=base_url, model=model, api=api))
        return Launch([str(self.command), "serve", "--config", str(config)], encode("/ready", None))


class Bare:
    """The lower bound for reads; it has no ChatKit API."""

    name = "bare"
    path = ""

    def launch(self, port: int, base_url: str, model: str, api: str, directory: Path) -> Launch:
        """See `Side.launch`."""
        environment = {"PYTHONPATH": str(ROOT), "BARE_DB": str(directory / "bare.db")}
        return Launch(_uvicorn("bench.bare:app", port), encode("/threads", None), environment)


@asynccontextmanager
async def started(side: Side, base_url: str, model: str, api: str = RESPONSES) -> AsyncIterator[Server]:
    """Run a side's server in a new directory, for the duration of the context."""
    with TemporaryDirectory(prefix=f"bench-{side.name}-") as name:
        directory = Path(name)
        port = free_port()
        launch = side.launch(port, base_url, model, api, directory)
        async with running(launch.command, port, launch.ready, directory, launch.environment) as server:
            yield server
