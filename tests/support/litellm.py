"""LiteLLM's proxy in front of the fake upstream: a real gateway.

It takes seconds to start, so all workers of a run share one.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.process import ROOT, START, Process

LITELLM = ROOT / ".litellm" / "bin" / "litellm"

KEY = "sk-litellm-master"
"""The key of the proxy; it does not start without one."""

STREAMED = ("fake", "fake-d20")
"""Models whose Responses are streamed as they come; those of models that the config does not name, the proxy collects
first."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy, which serves every model whose name begins with `fake` and does not retry.

    The fake upstream is shared as well: its counters and its requests are those of all tests, and requests
    are told apart by a label in the name of the model.

    Args:
        url: the base URL for the `openai` client.
        key: the API key for it.
        upstream_url: the base URL of the fake upstream.
    """

    url: str
    key: str
    upstream_url: str


@pytest.fixture(scope="session")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy of this run; skips the test if LiteLLM is not installed."""
    if not LITELLM.exists():
        pytest.skip("LiteLLM is not installed; `make litellm` installs it")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers of this run
    with shared_proxy(folder / "litellm") as proxy:
        yield proxy


@contextlib.contextmanager
def shared_proxy(folder: Path) -> Iterator[Proxy]:
    """Yield the proxy that all processes share that name the same folder.

    The first one starts it, and stops it after the others have left.

    Args:
        folder: for its files and its logs; made if need be.
    """
    folder.mkdir(exist_ok=True)
    address = folder / "address.json"
    with (folder / "users").open("w") as users, contextlib.ExitStack() as started:
        with (folder / "entrance").open("w") as entrance:
            fcntl.flock(entrance, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if address.exists():
                proxy = Proxy(**json.loads(address.read_text(encoding="utf-8")))
            else:
                proxy = started.enter_context(running_proxy(folder))
                address.write_text(json.dumps(asdict(proxy)), encoding="utf-8")
                started.callback(_close, address, users.fileno())
        yield proxy


@contextlib.contextmanager
def running_proxy(folder: Path) -> Iterator[Proxy]:
    """Start a fake upstream and the proxy, and stop both in the end.

    Args:
        folder: for the config, and for `litellm.log` and `upstream.log`.
    """
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        upstream_port, port = [int(free.getsockname()[1]) for free in ports]
    upstream_url = f"http://127.0.0.1:{upstream_port}/v1"
    config = folder / "litellm.json"
    config.write_text(json.dumps(_config(upstream_url)), encoding="utf-8")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONUNBUFFERED": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would be downloaded
        "LITELLM_MODE": "PRODUCTION",  # otherwise it reads the nearest .env, which is ours
    }
    commands = {
        upstream_url.removesuffix("/v1") + "/__stats": (
            "upstream.log",
            [sys.executable, "-m", "tests.fake_openai", "--port", str(upstream_port)],
        ),
        f"http://127.0.0.1:{port}/health/readiness": (
            "litellm.log",
            [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
        ),
    }
    with contextlib.ExitStack() as stack:
        processes = {}
        for ready_url, (log, command) in commands.items():
            processes[ready_url] = Process(command, ROOT, folder / log, environ, forked=False)
            stack.callback(processes[ready_url].kill)
        for ready_url, process in processes.items():
            _wait_until_ready(process, ready_url)
        yield Proxy(f"http://127.0.0.1:{port}/v1", KEY, upstream_url)


def _config(upstream_url: str) -> dict[str, object]:
    """A config; JSON is YAML too."""
    return {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {
                    "model": f"openai/{name}",
                    "api_base": upstream_url,
                    "api_key": "sk-upstream",
                },
                "model_info": {"supports_native_streaming": True},
            }
            for name in ("fake*", *STREAMED)
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0},
    }


def _wait_until_ready(process: Process, url: str) -> None:
    deadline = time.monotonic() + START
    with httpx.Client(trust_env=False) as http:
        while True:
            assert process.running, f"it ended:\n{process.log()}"
            assert time.monotonic() < deadline, f"it did not start:\n{process.log()}"
            with contextlib.suppress(httpx.TransportError):
                if http.get(url).status_code == 200:
                    return
            time.sleep(0.05)


def _close(address: Path, users: int) -> None:
    """Wait until the others have left, and withdraw the address."""
    fcntl.flock(users, fcntl.LOCK_EX)
    address.unlink()
