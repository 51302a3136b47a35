"""The network address of a client: the connection's, or the one that a trusted proxy names."""

import ipaddress
import re
from collections.abc import Iterable, Sequence

from litestar.types import Scope

_HEADER = b"x-forwarded-for"
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")
"""How some proxies write an address."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddress:
    """Finds the address of a client.

    Args:
        trusted_proxies: the addresses and networks of the proxies whose header `X-Forwarded-For` is believed.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted: list[_Network] = [ipaddress.ip_network(network) for network in trusted_proxies]

    def of(self, scope: Scope) -> str | None:
        """Return the address that a request came from.

        Each proxy adds the address that it was called from to the right. The first one from the right that is no trusted
        proxy is the client: what stands further left may be made up.
        """
        if scope["client"] is None:
            return None
        peer = scope["client"][0]
        if not self._trusted or not self._trusts(_parse(peer)):
            return peer
        address: _Address | None = None
        for hop in _hops(scope["headers"]):
            address = _parse(hop)
            if address is None:
                return peer
            if not self._trusts(address):
                break
        return peer if address is None else str(address)

    def _trusts(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return what the header says, the nearest first."""
    values = [value.decode("latin-1") for name, value in headers if name == _HEADER]
    return [hop.strip() for hop in reversed(",".join(values).split(","))] if values else []


def _parse(text: str) -> _Address | None:
    if match := _WITH_PORT.fullmatch(text):
        text = match["v6"] or match["v4"] or ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None  # any text; it says nothing to others
        return address.ipv4_mapped or address
    return address
