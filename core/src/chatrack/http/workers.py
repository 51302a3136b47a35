"""Several processes on one socket, forked from a parent that has started everything once."""

import functools
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable

import structlog

from chatrack.errors import StartupError

_log = structlog.get_logger(source="chatrack.workers")

MAX_RESTARTS = 5
"""The number of workers that die within `RESTART_WINDOW` seconds before the server gives up."""

RESTART_WINDOW = 60.0
"""Seconds in which the deaths of workers are counted."""

Work = Callable[[Callable[[], None], int], None]
"""Serves in a worker. Gets a function to call when it is ready, and a pipe that is closed when the parent dies."""


class Workers:
    """The parent of the worker processes.

    Args:
        count: the number of workers.
        sock: the socket that they listen on.
        work: runs in each worker.
        report: prints why a worker cannot start.
        stop_after: seconds after which a worker that does not stop is killed.
        reopen_logs: called at SIGHUP, which is also passed on; None to end at SIGHUP, as programs do by default.
    """

    def __init__(
        self,
        count: int,
        sock: socket.socket,
        work: Work,
        *,
        report: Callable[[StartupError], None],
        stop_after: float,
        reopen_logs: Callable[[], None] | None = None,
    ) -> None:
        self.count = count
        self.sock = sock
        self.work = work
        self.report = report
        self.stop_after = stop_after
        self.reopen_logs = reopen_logs
        self._ready_pipes: dict[int, int] = {}
        self._parent_pipe = os.pipe()
        self._signals = 0
        self._stopping = False
        self._deaths: list[float] = []

    def run(self) -> int:
        """Run the workers until SIGTERM or SIGINT, or until they die too often.

        Returns:
            The exit code: 0, or 2 if a worker could not start or died too often.
        """
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._signalled)
        if self.reopen_logs is not None:
            signal.signal(signal.SIGHUP, self._hung_up)
        for _ in range(self.count):
            self._fork()
        code, passed_on = 0, 0
        deadline: float | None = None
        while self._ready_pipes:
            if self._signals > passed_on or (self._stopping and deadline is None):
                # Every signal is passed on: the second one ends the grace period.
                passed_on = self._signals
                self._stopping = True
                deadline = deadline or time.monotonic() + self.stop_after
                self._send(signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                self._send(signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.05)
            elif self._handle_exit(pid, os.waitstatus_to_exitcode(status)):
                code = 2
                self._stopping = True
        return code

    def _handle_exit(self, pid: int, exit_code: int) -> bool:
        """Replace a worker that has died; return whether the server gives up instead."""
        pipe = self._ready_pipes.pop(pid)
        was_ready = os.read(pipe, 1) == b"r"
        os.close(pipe)
        if self._stopping or self._signals:
            return False
        if not was_ready:
            _log.error("a worker could not start", pid=pid, exit_code=exit_code)
            return True
        now = time.monotonic()
        self._deaths = [moment for moment in self._deaths if now - moment < RESTART_WINDOW] + [now]
        if len(self._deaths) >= MAX_RESTARTS:
            _log.error("workers die too often", deaths=len(self._deaths), seconds=RESTART_WINDOW)
            return True
        _log.error("a worker died; starting another", pid=pid, exit_code=exit_code)
        self._fork()
        return False

    def _fork(self) -> None:
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            os.close(writer)
            os.set_blocking(reader, False)
            self._ready_pipes[pid] = reader
            return
        code = 1
        try:
            # A process group of its own: Ctrl-C in a terminal reaches the parent only, which passes it on.
            os.setpgid(0, 0)
            for pipe in (reader, self._parent_pipe[1], *self._ready_pipes.values()):
                os.close(pipe)
            for sig in (signal.SIGTERM, signal.SIGINT):
                signal.signal(sig, signal.SIG_DFL)
            if self.reopen_logs is not None:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker has a handler of its own
            self.work(functools.partial(_write_ready, writer), self._parent_pipe[0])
            code = 0
        except StartupError as error:
            self.report(error)
            code = 2
        except BaseException:  # noqa: BLE001  (a child must not continue with the code of the parent)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _send(self, sig: int) -> None:
        for pid in list(self._ready_pipes):
            os.kill(pid, sig)

    def _hung_up(self, _sig: int, _frame: object) -> None:
        assert self.reopen_logs is not None
        self.reopen_logs()
        self._send(signal.SIGHUP)

    def _signalled(self, _sig: int, _frame: object) -> None:
        self._signals += 1


def _write_ready(pipe: int) -> None:
    os.write(pipe, b"r")
