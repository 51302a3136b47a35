"""Several processes on one socket: forked from a parent that has loaded and checked everything."""

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
"""So many deaths within `RESTART_WINDOW` seconds mean that starting again does not help."""

RESTART_WINDOW = 60.0

Work = Callable[[Callable[[], None], int], None]
"""Serves in a worker. Gets a function to call when it is ready, and a pipe that ends when the parent does."""


class Workers:
    """The parent of the worker processes.

    Args:
        count: how many.
        sock: what they listen on.
        work: what a worker does.
        report: prints why a worker cannot start.
        stop_after: seconds after which a worker that was told to stop is killed.
    """

    def __init__(
        self,
        count: int,
        sock: socket.socket,
        work: Work,
        *,
        report: Callable[[StartupError], None],
        stop_after: float,
    ) -> None:
        self.count = count
        self.sock = sock
        self.work = work
        self.report = report
        self.stop_after = stop_after
        self._ready_pipes: dict[int, int] = {}
        self._parent_pipe = os.pipe()
        self._signals = 0
        self._stopping = False
        self._deaths: list[float] = []

    def run(self) -> int:
        """Run the workers until a signal says to stop, or they cannot be kept alive.

        Returns:
            The exit code: 0, or 2 if a worker could not start or died too often.
        """
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._signalled)
        for _ in range(self.count):
            self._fork()
        code, passed_on = 0, 0
        deadline: float | None = None
        while self._ready_pipes:
            if self._signals > passed_on or (self._stopping and deadline is None):
                # Every signal is passed on: the second one cuts the grace short.
                passed_on = self._signals
                self._stopping = True
                deadline = deadline or time.monotonic() + self.stop_after
                self._tell(signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                self._tell(signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.05)
            elif self._gone(pid, os.waitstatus_to_exitcode(status)):
                code = 2
                self._stopping = True
        return code

    def _gone(self, pid: int, exit_code: int) -> bool:
        """Note a death and replace the dead; give True if there is no use in going on."""
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
            # A group of its own: Ctrl-C in a terminal reaches the parent alone, which then tells us.
            os.setpgid(0, 0)
            for pipe in (reader, self._parent_pipe[1], *self._ready_pipes.values()):
                os.close(pipe)
            for sig in (signal.SIGTERM, signal.SIGINT):
                signal.signal(sig, signal.SIG_DFL)
            self.work(functools.partial(_say_ready, writer), self._parent_pipe[0])
            code = 0
        except StartupError as error:
            self.report(error)
            code = 2
        except BaseException:  # noqa: BLE001  (a child must not go on as if it were the parent)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _tell(self, sig: int) -> None:
        for pid in list(self._ready_pipes):
            os.kill(pid, sig)

    def _signalled(self, _sig: int, _frame: object) -> None:
        self._signals += 1


def _say_ready(pipe: int) -> None:
    os.write(pipe, b"r")
