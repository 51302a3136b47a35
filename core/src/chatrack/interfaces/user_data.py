"""The data that a plugin stores about users: export and purge."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from chatrack.interfaces.user import User


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record about a user.

    Args:
        kind: the kind of record, such as `todo`.
        fields: the fields, in the order of the output. Values are anything that msgspec encodes as JSON. The names
            `source` and `kind` are reserved.
    """

    kind: str
    fields: Mapping[str, Any]


class UserData(ABC):
    """The data that a plugin stores about users, for `chatrack export` and `chatrack purge`.

    ::

        class Notes(chatrack.UserData):
            name = "notes"

            async def export(self, user):
                async for note in self.client.notes(user.tenant_id, user.id):
                    yield chatrack.UserRecord(kind="note", fields={"id": note.id, "text": note.text})

            async def purge(self, user):
                while removed := await self.client.remove(user.tenant_id, user.id, limit=100):
                    yield {"note": removed}

            async def purge_before(self, moment):
                while removed := await self.client.remove_older(moment, limit=100):
                    yield {"note": removed}

            async def tenants(self):
                return await self.client.tenants()

    `export` and the two purges are async generators. The commands run in processes of their own, whether or not a server
    runs, and enter no `lifespan`. `chatrack.sql.TableData` implements this class for tables.
    """

    name: str
    """The `source` in an export. It must not depend on where the data is stored."""

    async def start(self) -> None:  # noqa: B027  (most have nothing to do)
        """Connect. Called before anything else, and again after `stop`."""

    async def stop(self) -> None:  # noqa: B027  (as above)
        """Disconnect. Called after everything else."""

    @abstractmethod
    def export(self, user: User) -> AsyncIterator[UserRecord]:
        """Yield all records about a user, in an order that depends on the data only.

        Read them in parts: they may not fit into memory.

        Args:
            user: the user; only `tenant_id` and `id` are set.
        """

    @abstractmethod
    def purge(self, user: User) -> AsyncIterator[Mapping[str, int]]:
        """Delete all records about a user in batches; each batch is one transaction.

        A purge that is interrupted has deleted the batches so far; the next purge deletes the rest.

        Args:
            user: the user; only `tenant_id` and `id` are set.

        Returns:
            A generator that yields after each batch the number of deleted records by kind.
        """

    @abstractmethod
    def purge_before(self, moment: datetime) -> AsyncIterator[Mapping[str, int]]:
        """Delete the records of all users that were last changed before a moment, as `purge` does.

        Args:
            moment: aware, in UTC. Records that were changed exactly then are kept.
        """

    @abstractmethod
    async def tenants(self) -> set[str]:
        """Return the tenants that have records."""
