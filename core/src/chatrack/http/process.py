"""Serving in this process: start, serve, drain turns, stop."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from types import FrameType

import structlog
import uvicorn

import chatrack
from chatrack import audit
from chatrack.assembly import Assembly, running
from chatrack.chat.server import ChatrackServer
from chatrack.errors import ConfigError
from chatrack.files.cleanup import cleaning_up
from chatrack.files.links import base_url
from chatrack.http.app import create_app
from chatrack.http.protocol import protocol_of

_BACKLOG = 2048
_TASKS_GRACE = 6
"""Seconds that other requests, such as those of plugins, get to finish when the server stops."""

_CONNECTIONS_GRACE = 2.0
"""Seconds that clients get, after the last turn, to read what was sent to them."""

_MAX_FILES = 65_536
"""The most files and connections that a process asks to have open. Child processes, which get the same limit, may close
each of them."""

_RESERVED_FILES = 256
"""Files that are left for databases, model providers and plugins when clients have all the other ones."""

_log = structlog.get_logger(source="chatrack")


def bind(host: str, port: int, *, file: str) -> socket.socket:
    """Return a socket that listens on an address.

    It is called before anything is started, so that a wrong address is reported at once.

    Args:
        host: a host name or an IP address.
        port: the port; 0 takes a free one.
        file: the name of the config file, for errors.

    Raises:
        ConfigError: the address is wrong or in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as failed:
            sock = failed.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
            sock.setblocking(False)
            failed.pop_all()
            return sock
    except OSError as error:
        raise ConfigError(f"{file}: server: cannot listen on {host}:{port}: {error.strerror}") from error


def serve(
    assembly: Assembly,
    sock: socket.socket,
    *,
    on_ready: Callable[[], None] | None = None,
    parent_pipe: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        assembly: the assembly; not running.
        sock: the socket; it listens.
        on_ready: called when the server accepts requests.
        parent_pipe: a pipe from the parent process. When it is closed, the parent has died, and this process stops.

    Raises:
        StartupError: something cannot be started.
    """
    config = uvicorn.Config(
        app=_not_yet,
        http=protocol_of(assembly.config.server, max_connections()),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_TASKS_GRACE,
        proxy_headers=False,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(assembly, config, sock, on_ready, parent_pipe))


def max_connections() -> int:
    """Let this process open as many files as it may, within reason, and return how many of them clients may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_FILES
    if soft < _MAX_FILES:
        soft = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(soft - _RESERVED_FILES, soft // 2)


async def _serve(
    assembly: Assembly,
    config: uvicorn.Config,
    sock: socket.socket,
    on_ready: Callable[[], None] | None,
    parent_pipe: int | None,
) -> None:
    server = ChatrackServer(assembly)
    config.app = create_app(server)
    async with running(assembly), serving_files(assembly, sock):
        server.turns.open()
        if assembly.config.server.audit_log is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, audit.reopen)
        try:
            await assembly.limits.open(assembly.config.server.workers)
            process = _Server(config, server, sock, on_ready)
            if parent_pipe is not None:
                process.stop_with(parent_pipe)
            await process.serve(sockets=[sock])
        finally:
            await server.turns.close()
            await assembly.limits.close()


@contextlib.asynccontextmanager
async def serving_files(assembly: Assembly, sock: socket.socket) -> AsyncIterator[None]:
    """Return a context in which files can be served: their URLs have the server's port, and deleted ones are removed.

    Args:
        assembly: the assembly; running.
        sock: the socket that the server listens on.
    """
    files = assembly.files
    if files is None:
        yield
        return
    files.links.base_url = base_url(assembly.config.server, port=sock.getsockname()[1])
    async with cleaning_up(files, assembly.store, assembly.config.files.orphan_ttl):
        yield


async def _not_yet(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the application is set before the server starts")


class _Server(uvicorn.Server):
    """uvicorn's server. It drains turns before it closes connections."""

    def __init__(
        self,
        config: uvicorn.Config,
        chatrack_server: ChatrackServer,
        sock: socket.socket,
        on_ready: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._chatrack = chatrack_server
        self._sock = sock
        self._on_ready = on_ready
        self._loop = asyncio.get_running_loop()
        self._drains: list[asyncio.Task[None]] = []

    def stop_with(self, parent_pipe: int) -> None:
        """Stop when a pipe is closed."""

        def ended() -> None:
            self._loop.remove_reader(parent_pipe)
            self._stop(signal.SIGTERM)

        self._loop.add_reader(parent_pipe, ended)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        host, port = self._sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        settings = self._chatrack.assembly.config.server
        _log.info("ready", version=chatrack.__version__, url=f"http://{shown}:{port}", api=settings.path)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn's own limit would cancel tasks, with a traceback for each. A connection that is
        # dropped ends its task by itself.
        dropping = self._loop.call_later(_CONNECTIONS_GRACE, self._drop_connections)
        await super().shutdown(sockets=sockets)
        dropping.cancel()

    def _drop_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own handler raises the signal again in the end: the exit code would be -15 instead of 0.
        self._loop.call_soon_threadsafe(self._stop, sig)

    def _stop(self, sig: int) -> None:
        grace = 0.0 if self._drains else self._chatrack.assembly.config.server.shutdown_grace
        if len(self._drains) > 1:
            self.force_exit = self.should_exit = True
            return
        _log.info("stopping", signal=signal.Signals(sig).name, turns=len(self._chatrack.turns), grace=grace)
        self._chatrack.turns.draining = True
        self._drains.append(self._loop.create_task(self._drain(grace)))

    async def _drain(self, grace: float) -> None:
        await self._chatrack.turns.drain(grace)
        self.should_exit = True
