"""What all plugins keep about users: opened without starting a server, and asked as one."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chatrack.assembly.assembly import Assembly
from chatrack.assembly.running import attribute_errors
from chatrack.errors import Stage, StartupError
from chatrack.interfaces import Migrations, User, UserData, UserRecord
from chatrack.plugins import HookResult
from chatrack.sql.migrate import have_tables

Removed = tuple[str, Mapping[str, int]]
"""The name of a source, and how many of each kind were removed from it."""


class UserDataService:
    """What all plugins keep about users. Whatever goes wrong names the plugin.

    Args:
        assembly: the plugins.
        given: those of which something is kept, in the order in which they are asked.
    """

    def __init__(self, assembly: Assembly, given: Sequence[HookResult[UserData]]) -> None:
        self._assembly = assembly
        self._given = given

    async def tenants(self) -> set[str]:
        """Give all tenants there are."""
        found: set[str] = set()
        for one in self._given:
            with attribute_errors(self._assembly, one.plugin):
                found |= set(await one.value.tenants())
        return found

    async def export(self, user: User) -> AsyncGenerator[bytes]:
        """Give all that is kept about a user, a line of JSON each; the first, if there are any, says whose it is."""
        encode = msgspec.json.Encoder().encode
        begun = False
        async with contextlib.aclosing(self._each("export", lambda data: data.export(user))) as answers:
            async for one, record in answers:
                with attribute_errors(self._assembly, one.plugin, "export"):
                    line = encode(_fields(one.value.name, record))
                if not begun:
                    head = {"source": "chatrack", "kind": "user", "tenant_id": user.tenant_id, "id": user.id}
                    yield encode(head)
                    begun = True
                yield line

    def purge(self, user: User) -> AsyncGenerator[Removed]:
        """Remove all that is kept about a user, in batches; tells after each what it removed."""
        return self._removed(lambda data: data.purge(user))

    def purge_before(self, moment: datetime) -> AsyncGenerator[Removed]:
        """Remove what was last written to before a moment; otherwise as `purge`."""
        return self._removed(lambda data: data.purge_before(moment))

    async def _removed(self, ask: Callable[[UserData], Any]) -> AsyncGenerator[Removed]:
        async with contextlib.aclosing(self._each("purge", ask)) as answers:
            async for one, counts in answers:
                with attribute_errors(self._assembly, one.plugin, "purge"):
                    _check_counts(counts)
                yield one.value.name, counts

    async def _each(
        self, stage: Stage, ask: Callable[[UserData], Any]
    ) -> AsyncGenerator[tuple[HookResult[UserData], Any]]:
        for one in self._given:
            with attribute_errors(self._assembly, one.plugin, stage):
                answers = ask(one.value)
                if not inspect.isasyncgen(answers):
                    if inspect.iscoroutine(answers):
                        answers.close()
                    raise StartupError(f"it must be an async generator, got {type(answers).__name__}")
                async with contextlib.aclosing(answers):
                    async for answer in answers:
                        yield one, answer


def _fields(source: str, record: object) -> dict[str, Any]:
    if not isinstance(record, UserRecord):
        raise StartupError(f"it must yield UserRecord, got {type(record).__name__}")
    head = {"source": source, "kind": record.kind}
    taken = head.keys() & record.fields.keys()
    if taken:
        raise StartupError(
            f"a record of kind {record.kind} has a field `{min(taken)}`, and every line has one"
        )
    return {**head, **record.fields}


def _check_counts(counts: object) -> None:
    if not isinstance(counts, Mapping) or not all(isinstance(count, int) for count in counts.values()):
        raise StartupError(f"it must yield how many of each kind it removed, not {counts!r}")


@contextlib.asynccontextmanager
async def open_user_data(assembly: Assembly) -> AsyncIterator[UserDataService]:
    """Connect to where plugins keep things about users. No table is made or changed.

    Args:
        assembly: the plugins; not running.

    Raises:
        StartupError: something cannot be reached, or its tables are not up to date.
    """
    histories = {one.plugin: one.value for one in assembly.migrations}
    async with contextlib.AsyncExitStack() as stack:
        found = []
        # Sorted, so that an export does not depend on the order of `enabled`.
        for one in sorted(assembly.user_data, key=lambda one: one.value.name):
            with attribute_errors(assembly, one.plugin):
                history = histories.get(one.plugin)
                if history is not None and not await _has_tables(history, stack):
                    continue  # nothing can be in them
                await one.value.start()
            stack.push_async_callback(one.value.stop)
            found.append(one)
        yield UserDataService(assembly, found)


async def _has_tables(history: Migrations, stack: contextlib.AsyncExitStack) -> bool:
    database = history.database
    if database.is_absent:
        return False
    await database.start()
    stack.push_async_callback(database.stop)
    return await have_tables(history)
