"""`chatrack serve`."""

import asyncio
import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from chatrack import audit, logs
from chatrack.assembly import Assembly, assemble, dry_start
from chatrack.cli.audit_log import open_audit_log
from chatrack.cli.report import report

_log = structlog.get_logger(source="chatrack")

_STOP_TIMEOUT = 30
"""Seconds after the grace in which a worker ends by itself, even if its database does not answer."""


def serve(path: Path, options: dict[str, Any], *, verbose: bool) -> int:
    """Serve until a signal stops the server.

    Args:
        path: the config file.
        options: settings of `[server]` that override those in the file.
        verbose: print the traceback if a worker cannot start.

    Returns:
        The exit code.

    Raises:
        StartupError: something cannot be started; everything that was started is stopped again.
    """
    assembly = assemble(path, server=options, create_secret_key=True)
    settings = assembly.config.server
    logs.configure(settings.log_level, settings.log_format)
    open_audit_log(assembly.config)
    for note in assembly.notes:
        _log.info("note", note=note)

    if settings.allow_anonymous and not assembly.authenticators:
        _log.warning("all callers are one user, who sees all threads", setting="server.allow_anonymous")

    from chatrack.http.process import bind
    from chatrack.http.process import serve as serve_here

    sock = bind(settings.host, settings.port, file=assembly.config.source.file)
    try:
        if settings.workers == 1:
            serve_here(assembly, sock)
            return 0
        return _serve_with_workers(path, options, assembly, sock, verbose=verbose)
    finally:
        sock.close()


def _serve_with_workers(
    path: Path, options: dict[str, Any], assembly: Assembly, sock: socket.socket, *, verbose: bool
) -> int:
    from chatrack.http.process import serve as serve_here
    from chatrack.http.workers import Workers

    # Before the first fork, so that one process migrates, and a failure is reported once. Each worker assembles anew,
    # because the objects of plugins must not be shared between processes.
    asyncio.run(dry_start(assembly))

    def work(ready: Callable[[], None], parent_pipe: int) -> None:
        assembly = assemble(path, server=options, create_secret_key=True)
        serve_here(assembly, sock, on_ready=ready, parent_pipe=parent_pipe)

    settings = assembly.config.server
    return Workers(
        settings.workers,
        sock,
        work,
        report=functools.partial(report, verbose=verbose),
        stop_after=settings.shutdown_grace + _STOP_TIMEOUT,
        reopen_logs=None if settings.audit_log is None else audit.reopen,
    ).run()
