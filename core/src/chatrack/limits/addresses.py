"""What counts as one address."""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

_PREFIX_BITS = 64
"""The bits of an IPv6 address that name a network: whoever has one address of it has them all."""


@lru_cache(maxsize=4096)
def address_key(address: str | None) -> str:
    """Return the key that an address is counted under: an IPv6 address counts as its /64."""
    if address is None:
        return ""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _PREFIX_BITS):x}::/{_PREFIX_BITS}"
