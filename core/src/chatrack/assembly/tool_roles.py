"""`[tools.<name>] roles`: which roles a tool asks for."""

from collections.abc import Mapping

from chatrack.assembly.names import NameLookupError, Registry
from chatrack.config import ToolTable
from chatrack.interfaces import Tool
from chatrack.settings import Problems


def required_roles(
    tables: Mapping[str, ToolTable], tools: Registry[Tool], problems: Problems
) -> dict[str, frozenset[str]]:
    """Return the roles of which a user needs one, by the address of the tool. Tools for everybody are left out.

    Args:
        tables: the tables `[tools.<name>]`, by name or glob.
        tools: the tools.
        problems: gets every mistake.
    """
    required: dict[str, frozenset[str]] = {}
    for pattern, table in tables.items():
        try:
            matching = tools.match(pattern)
        except NameLookupError as error:
            problems.add(f'tools."{pattern}"', str(error))
            continue
        if table.roles is None:
            continue
        for address in matching:
            roles = frozenset(table.roles)
            required[address] = required.get(address, roles) & roles
            if not required[address]:
                problems.add(
                    f'tools."{pattern}".roles',
                    f"no role is in all tables that refer to {address}, so nobody could use it",
                )
    return required
