"""Names of tools, agents and guardrails: the address `<plugin>.<name>`, the bare name where it is unique, and globs."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from chatrack.settings import Problems, did_you_mean

T = TypeVar("T")


class NameLookupError(Exception):
    """A name refers to no entry or to several, or is taken."""


class Registry(Generic[T]):
    """Tools, agents or guardrails, by address.

    Args:
        kind: what the entries are, for errors (`tool`, `agent`, `guardrail`).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, address: str, entry: T) -> None:
        """Register an entry.

        Raises:
            NameLookupError: the address is taken.
        """
        if address in self._entries:
            raise NameLookupError(f'two {self.kind}s are called "{address}"')
        self._entries[address] = entry

    def replace(self, address: str, entry: T) -> None:
        """Replace an entry."""
        self._entries[address] = entry

    def address(self, name: str) -> str | None:
        """Return the address that a name refers to.

        Args:
            name: an address, or the bare name of exactly one entry.

        Returns:
            The address; None if there is no such entry.

        Raises:
            NameLookupError: it is the bare name of several entries.
        """
        if name in self._entries:
            return name
        matches = [address for address in self._entries if _bare(address) == name]
        if len(matches) > 1:
            raise NameLookupError(f'"{name}" could be any of {", ".join(sorted(matches))}; use the full name')
        return matches[0] if matches else None

    def match(self, pattern: str) -> dict[str, T]:
        """Return all entries that a name or a glob refers to, by address.

        Raises:
            NameLookupError: there is no such entry, or a bare name is not unique.
        """
        if not any(wildcard in pattern for wildcard in "*?["):
            address = self.address(pattern)
            if address is None:
                raise NameLookupError(self.unknown(pattern))
            return {address: self._entries[address]}
        matches = {
            address: entry
            for address, entry in self._entries.items()
            if fnmatch.fnmatchcase(address, pattern)
        }
        if not matches:
            raise NameLookupError(f'"{pattern}" matches no {self.kind}; {self._list()}')
        return matches

    def match_all(self, patterns: Iterable[str], key: str, problems: Problems) -> dict[str, T]:
        """Return all entries that names and globs refer to, by address: in their order, and each once.

        Args:
            patterns: the names and globs.
            key: the setting that they stand in.
            problems: gets those that refer to nothing, or to several entries.
        """
        matches: dict[str, T] = {}
        for pattern in patterns:
            try:
                matches.update(self.match(pattern))
            except NameLookupError as error:
                problems.add(key, str(error))
        return matches

    def unknown(self, name: str) -> str:
        """Return the error message for a name that refers to nothing; it lists the names that exist."""
        names = [*self._entries, *map(_bare, self._entries)]
        return f'there is no {self.kind} "{name}"{did_you_mean(name, names)}; {self._list()}'

    def items(self) -> Mapping[str, T]:
        """Return all entries by address."""
        return self._entries

    def _list(self) -> str:
        return f"{self.kind}s: {', '.join(sorted(self._entries)) or 'none'}"


def _bare(address: str) -> str:
    return address.rpartition(".")[2]
