"""Names of hosts, and lists of them."""

from collections.abc import Sequence


def is_listed(host: str, hosts: Sequence[str]) -> bool:
    """Return whether a host is in a list of names, addresses and patterns such as `*.example.com`.

    A pattern stands for all names that end with what follows the star, and not for `example.com` itself.

    Args:
        host: the host; a dot at its end changes nothing.
        hosts: the list, in lower case.
    """
    name = host.lower().removesuffix(".")
    return any(
        name.endswith(pattern[1:]) and len(name) >= len(pattern)
        if pattern.startswith("*")
        else name == pattern
        for pattern in hosts
    )
