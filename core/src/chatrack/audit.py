"""The audit log: who did what, when and from where; one JSON line for each event, without content or secrets."""

import logging
import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from chatrack.clock import now, to_wire

Event = Literal[
    "signed_in",  # the first request of a user with one kind of credentials from an address, in this process
    "session_started",  # a token was exchanged for a cookie
    "session_ended",
    "refused",  # a request got 401 or 403
    "throttled",  # an address sent so many invalid credentials that it gets 429; once a minute
    "thread_deleted",
    "tool_called",  # a tool that is limited to some roles
    "exported",
    "purged",
]
"""What is logged."""

_SUSPICIOUS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON allows in texts, and what terminals obey, show out of order, or take for the end of a line."""

_logger = logging.getLogger("chatrack.audit")
_log = structlog.get_logger(source="chatrack.audit")


def record(
    event: Event,
    *,
    tenant: str | None = None,
    user: str | None = None,
    address: str | None = None,
    request_id: str | None = None,
    **fields: Any,
) -> None:
    """Write one line.

    Args:
        event: what happened.
        tenant: the tenant of the user.
        user: who did it; None if nobody knows.
        address: the network address that the request came from; None for a command.
        request_id: the request.
        fields: more about the event; never content.
    """
    line = {
        "time": to_wire(now()),
        "event": event,
        "tenant": tenant,
        "user": user,
        "address": address,
        "request_id": request_id,
        **fields,
    }
    text = msgspec.json.encode({key: value for key, value in line.items() if value is not None}).decode()
    _logger.info("%s", _SUSPICIOUS.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def configure(file: Path | None) -> None:
    """Send the audit log to a file, or to stderr.

    Args:
        file: the file; lines are added to it. It is readable by its owner only.

    Raises:
        OSError: the file cannot be opened.
    """
    handler = logging.StreamHandler(sys.stderr) if file is None else _AuditFile(file)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for old in _logger.handlers:
        old.close()
        if isinstance(old, _AuditFile):
            old.stream.close()
    _logger.handlers = [handler]
    _logger.propagate = False
    _logger.setLevel(logging.INFO)


def reopen() -> None:
    """Open the file anew, after it was renamed. If that fails, the old one is kept and the failure is logged."""
    for handler in _logger.handlers:
        if isinstance(handler, _AuditFile):
            handler.reopen()


class _AuditFile(logging.StreamHandler[TextIOWrapper]):
    """Adds lines to a file.

    Args:
        file: the file; its folder is created.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(_open(file))

    def reopen(self) -> None:
        """Go on in the file that has the name now."""
        try:
            stream = _open(self._file)
        except OSError as error:
            _log.error("the audit log cannot be reopened", file=str(self._file), reason=error.strerror)
            return
        old = self.setStream(stream)
        if old is not None:
            old.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        _log.error("an audit line was not written", file=str(self._file), exc_info=sys.exc_info()[1])


def _open(file: Path) -> TextIOWrapper:
    # Lines of several processes do not mix: each is one write at the end of the file.
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
