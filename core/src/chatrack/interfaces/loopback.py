"""Addresses that only this machine can reach."""

import ipaddress
from typing import Any

from litestar.connection import ASGIConnection


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the host that a request names in its Host header, without the port."""
    host = connection.headers.get("host", "localhost")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
