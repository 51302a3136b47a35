"""The hooks of a plugin. Each is called once, at start-up, and returns an object that serves.

A plugin implements the hooks it needs as methods marked `@chatrack.hookimpl`, and takes only the
arguments it needs. No hook is a coroutine, and none runs per request. `database` is the store's own
`chatrack.sql.Database`, or None if the store is not one of `chatrack.sql`; `store` itself is called first.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pluggy
from litestar.types import ControllerRouterHandler

from chatrack.interfaces import (
    ActionHandler,
    AgentSpec,
    Authenticator,
    Migrations,
    ModelProvider,
    Store,
    Tool,
    UserData,
)

if TYPE_CHECKING:
    from chatrack.sql.database import Database

API = 1
"""The version of the plugin API: what a plugin says it was written for with `api = 1`."""

hookspec = pluggy.HookspecMarker("chatrack")
hookimpl = pluggy.HookimplMarker("chatrack")
"""Marks a method of a plugin as the implementation of the hook of the same name."""


class HookSpecs:
    """All hooks there are."""

    @hookspec
    def store(self) -> Store:  # type: ignore[empty-body]  # a specification has no body
        """Give the store. Called first.

        Result: the `Store` that keeps threads, items and attachments' records.
        Rule: exactly one enabled plugin gives one.
        Example::

            @chatrack.hookimpl
            def store(self):
                return SQLStore(Database("sqlite:///chat.db"))
        """

    @hookspec
    def authenticators(self, database: "Database | None") -> Sequence[Authenticator]:  # type: ignore[empty-body]
        """Give the ways in.

        Result: a sequence of `Authenticator`.
        Rule: all are tried, in the order of `enabled`; the first that gives a user wins.
        Example::

            @chatrack.hookimpl
            def authenticators(self):
                return [ApiKeys(self.settings.keys)]
        """

    @hookspec
    def model_providers(self) -> Mapping[str, ModelProvider]:  # type: ignore[empty-body]
        """Give the providers of models.

        Result: a mapping from prefix (the part of `provider/model` before the slash) to `ModelProvider`. The
        provider's `get_model` raises `StartupError` if a setting it needs, such as the key, is absent: it is
        asked only for models that are used.
        Rule: a prefix twice is an error.
        Example::

            @chatrack.hookimpl
            def model_providers(self):
                return {"acme": AcmeProvider(self.settings)}
        """

    @hookspec
    def tools(self, database: "Database | None") -> Sequence[Tool]:  # type: ignore[empty-body]
        """Give the tools.

        Result: a sequence of tools, most made with `chatrack.function_tool`.
        Rule: a tool's address is `<plugin>.<tool>`; a name twice in one plugin is an error.
        Example::

            @chatrack.hookimpl
            def tools(self):
                return [roll_dice]
        """

    @hookspec
    def agents(self) -> Sequence[AgentSpec]:  # type: ignore[empty-body]
        """Give the agents, by names; they are bound to tools, models and each other once all plugins are loaded.

        Result: a sequence of `AgentSpec`.
        Rule: an agent's full name is `<plugin>.<agent>`; a name twice in one plugin is an error.
        Example::

            @chatrack.hookimpl
            def agents(self):
                return [AgentSpec(name="croupier", instructions="Roll dice.", tools=["roll_dice"])]
        """

    @hookspec
    def actions(self, database: "Database | None") -> Mapping[str, ActionHandler]:  # type: ignore[empty-body]
        """Give the handlers of widget and client actions.

        Result: a mapping from action type, `<plugin>.<verb>`, to an async function of `TurnContext` and
        `ActionCall` that may return the item that replaces the widget.
        Rule: a type twice, or one that does not begin with the plugin's name, is an error.
        Example::

            @chatrack.hookimpl
            def actions(self):
                return {"dice.roll_again": self.roll_again}
        """

    @hookspec
    def user_data(self, database: "Database | None") -> UserData:  # type: ignore[empty-body]
        """Give the export and purge of what the plugin keeps about a user.

        Result: a `UserData`; for tables, `chatrack.sql.TableData`.
        Rule: any; a `name` twice is an error.
        Example::

            @chatrack.hookimpl
            def user_data(self, database):
                rolls = OwnedTable(
                    table=rolls_table, kind="roll", timestamps=["rolled_at"], age="rolled_at"
                )
                return TableData(database, name="dice", tables=[rolls])
        """

    @hookspec
    def migrations(self, database: "Database | None") -> Migrations:  # type: ignore[empty-body]
        """Give the history of the plugin's tables.

        Result: `Migrations`: the alembic folder, a version table of its own, the database and the tables.
        Rule: any; a version table twice in one database is an error.
        Example::

            @chatrack.hookimpl
            def migrations(self, database):
                return Migrations(
                    name="dice", folder=Path(__file__).parent / "migrations",
                    version_table="dice_version", database=database, tables=metadata,
                )
        """

    @hookspec
    def routes(self, database: "Database | None") -> Sequence[ControllerRouterHandler]:  # type: ignore[empty-body]
        """Give routes of the plugin's own.

        Result: a sequence of Litestar handlers, mounted under `/x/<plugin>/`. They are authenticated
        (`request.user`) unless the handler says `opt={"public": True}`.
        Rule: any.
        Example::

            @chatrack.hookimpl
            def routes(self):
                return [webhook]
        """

    @hookspec
    def lifespan(self) -> AbstractAsyncContextManager[Any]:  # type: ignore[empty-body]
        """Give what lives as long as the server: connections, clients, background tasks.

        Result: an async context manager; it may be entered in every worker process.
        Rule: entered in the order of `enabled`, after the store has started; left in reverse.
        Example::

            @chatrack.hookimpl
            def lifespan(self):
                return self.client
        """
