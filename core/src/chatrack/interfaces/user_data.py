"""What a plugin keeps about users: handing it out and removing it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from chatrack.interfaces.user import User


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is kept about a user.

    Args:
        kind: what it is, such as `todo`.
        fields: what is kept of it, in the order of the output; anything that msgspec encodes as JSON. The
            names `source` and `kind` are taken.
    """

    kind: str
    fields: Mapping[str, Any]


class UserData(ABC):
    """What a plugin keeps about users, for `chatrack export` and `chatrack purge`.

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

    `export` and the two purges are async generators. The commands run in a process of their own, with or without
    servers beside it, and enter no `lifespan`.
    For tables there is `chatrack.sql.TableData`.
    """

    name: str
    """What an export calls the source: the same wherever the data is, so not the name of one store's plugin."""

    async def start(self) -> None:  # noqa: B027  (most have nothing to do)
        """Connect. Called before anything else, and again when it is asked anew after `stop`."""

    async def stop(self) -> None:  # noqa: B027  (as above)
        """Disconnect. Called after everything else."""

    @abstractmethod
    def export(self, user: User) -> AsyncIterator[UserRecord]:
        """Give all that is kept about a user, in an order that depends on the data alone.

        It is read in parts: there may be more of it than fits into memory.

        Args:
            user: of whom only `tenant_id` and `id` are known.
        """

    @abstractmethod
    def purge(self, user: User) -> AsyncIterator[Mapping[str, int]]:
        """Remove all that is kept about a user, in batches that are whole or not at all.

        Whoever stops in between finds the batches so far removed, and the next purge removes the rest.

        Args:
            user: of whom only `tenant_id` and `id` are known.

        Returns:
            After each batch, how many of each kind were removed.
        """

    @abstractmethod
    def purge_before(self, moment: datetime) -> AsyncIterator[Mapping[str, int]]:
        """Remove what was last written to before a moment, of all users; otherwise as `purge`.

        Args:
            moment: aware, in UTC. What is exactly as old stays.
        """

    @abstractmethod
    async def tenants(self) -> set[str]:
        """Give the tenants of whose users anything is kept."""
