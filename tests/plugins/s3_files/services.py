"""Services that tests of file stores talk to: one that is stopped and started again, and one that refuses everything."""

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.support.process import ROOT, START, Process


class Service:
    """A program that serves HTTP on a port of this machine.

    Args:
        command: how it is started; `{port}` is replaced.
        folder: for its log.
        environ: variables that it needs.
    """

    def __init__(self, command: list[str], folder: Path, **environ: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [part.format(port=self.port) for part in command]
        self._folder = folder
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
        self._process: Process | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = process = Process(
            self._command, ROOT, self._folder / "service.log", self._environ, forked=False
        )
        deadline = time.monotonic() + START
        with httpx.Client(trust_env=False, timeout=START) as http:
            while True:
                assert process.running, f"it ended:\n{process.log()}"
                assert time.monotonic() < deadline, f"it did not start:\n{process.log()}"
                with contextlib.suppress(httpx.TransportError):
                    http.get(self.url)
                    return
                time.sleep(0.05)

    def pause(self) -> None:
        """Let it keep its connections, and answer nothing any more."""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()


class Refusing:
    """A server that answers everything with one status and body.

    Args:
        server: where it listens.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.status = 403
        self.body = ""
        self.requests: list[dict[str, str]] = []
        """The headers of the requests, with names in lower case."""


@contextlib.contextmanager
def refusing() -> Iterator[Refusing]:
    """Yield a server that answers everything with one status and body."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append({name.lower(): value for name, value in self.headers.items()})
            body = state.body.encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state = Refusing(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def told(error: BaseException) -> str:
    """Return all that a log could say of an error."""
    texts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        texts.append(repr(seen))
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)
