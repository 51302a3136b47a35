"""Opening the audit log, and the lines of commands."""

import getpass
import os
from typing import Any, Literal

from chatrack import audit
from chatrack.config import Config
from chatrack.errors import ConfigError
from chatrack.interfaces import User


def open_audit_log(config: Config) -> None:
    """Send the audit log where the config says.

    Raises:
        ConfigError: the file cannot be opened.
    """
    try:
        audit.configure(config.server.audit_log)
    except OSError as error:
        raise ConfigError(
            f"{config.source.file}: server.audit_log: {config.server.audit_log} cannot be opened: {error.strerror}"
        ) from error


def record_command(event: Literal["exported", "purged"], user: User | None, **fields: Any) -> None:
    """Write what an operator does to data.

    Args:
        event: what is done.
        user: whose data it is; None if it is everybody's.
        fields: more about the event.
    """
    audit.record(
        event,
        tenant=user.tenant_id if user else None,
        user=user.id if user else None,
        operator=_operator(),
        **fields,
    )


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
