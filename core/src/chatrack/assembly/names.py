"""Addresses: `<plugin>.<name>`, the bare name where it is unique, and globs."""

import fnmatch
from collections.abc import Mapping
from typing import Generic, TypeVar

from chatrack.settings import did_you_mean

T = TypeVar("T")


class NameLookupError(Exception):
    """A name that means nothing, or more than one thing."""


class Registry(Generic[T]):
    """Things by address.

    Args:
        kind: what they are, for errors (`tool`, `agent`).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def add(self, address: str, thing: T) -> None:
        """Register a thing.

        Raises:
            NameLookupError: the address is taken.
        """
        if address in self._things:
            raise NameLookupError(f'two {self.kind}s are called "{address}"')
        self._things[address] = thing

    def replace(self, address: str, thing: T) -> None:
        """Put another thing at an address."""
        self._things[address] = thing

    def address(self, name: str) -> str | None:
        """Find the address that a name means.

        Args:
            name: an address, or the last part of exactly one.

        Returns:
            The address, or None if there is none.

        Raises:
            NameLookupError: it is the last part of several.
        """
        if name in self._things:
            return name
        matches = [address for address in self._things if address.rpartition(".")[2] == name]
        if len(matches) > 1:
            raise NameLookupError(f'"{name}" could be any of {", ".join(sorted(matches))}; use the full name')
        return matches[0] if matches else None

    def find(self, name: str) -> T:
        """Find the thing that a name means.

        Raises:
            NameLookupError: there is none, or more than one.
        """
        address = self.address(name)
        if address is None:
            raise NameLookupError(self.unknown(name))
        return self._things[address]

    def match(self, pattern: str) -> dict[str, T]:
        """Find everything that a name or glob means, by address.

        Raises:
            NameLookupError: it means nothing, or a bare name is not unique.
        """
        if not any(sign in pattern for sign in "*?["):
            address = self.address(pattern)
            if address is None:
                raise NameLookupError(self.unknown(pattern))
            return {address: self._things[address]}
        found = {
            address: thing for address, thing in self._things.items() if fnmatch.fnmatchcase(address, pattern)
        }
        if not found:
            raise NameLookupError(f'"{pattern}" matches no {self.kind}; {self._list()}')
        return found

    def unknown(self, name: str) -> str:
        """Say that a name means nothing, and what there is."""
        names = [*self._things, *(address.rpartition(".")[2] for address in self._things)]
        return f'there is no {self.kind} "{name}"{did_you_mean(name, names)}; {self._list()}'

    def items(self) -> Mapping[str, T]:
        """Give everything by address."""
        return self._things

    def _list(self) -> str:
        return f"{self.kind}s: {', '.join(sorted(self._things)) or 'none'}"
