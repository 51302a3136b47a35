"""The hooks of a plugin. Each is called once, at start-up, and returns an object that is used while the server runs.

A plugin implements the hooks it needs as methods marked `@chatrack.hookimpl`; each takes only the arguments it
needs. Hooks are not coroutines, and none runs per request. `database` is the store's `chatrack.sql.Database`, or None if
the store does not use one. `derive_key` returns the plugin's keys for signing and encrypting; see `DeriveKey`.
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
    DeriveKey,
    FileStore,
    InputGuardrail,
    Migrations,
    ModelProvider,
    OutputGuardrail,
    Routes,
    Store,
    Tool,
    UserData,
)

if TYPE_CHECKING:
    from chatrack.sql.database import Database

API = 1
"""The version of the plugin API. A plugin states with `api = 1` which version it was written for."""

hookspec = pluggy.HookspecMarker("chatrack")
hookimpl = pluggy.HookimplMarker("chatrack")
"""Marks a method of a plugin as the implementation of the hook with the same name."""


class HookSpecs:
    """All hooks."""

    @hookspec
    def store(self) -> Store:  # type: ignore[empty-body]  # a specification has no body
        """Return the store. Called before all other hooks.

        Result: the `Store` of threads, items and attachment records.
        Rule: exactly one enabled plugin returns one.
        Example::

            @chatrack.hookimpl
            def store(self):
                return SQLStore(Database("sqlite:///chat.db"))
        """

    @hookspec
    def file_store(self) -> FileStore:  # type: ignore[empty-body]
        """Return the file store.

        Result: the `FileStore` of what users attach and models generate.
        Rule: at most one enabled plugin returns one. Without one, the server takes no files.
        Example::

            @chatrack.hookimpl
            def file_store(self):
                return AcmeFiles(self.settings.bucket)
        """

    @hookspec
    def authenticators(  # type: ignore[empty-body]
        self, database: "Database | None", derive_key: DeriveKey
    ) -> Sequence[Authenticator]:
        """Return the authenticators, in the order in which they are tried.

        Result: a sequence of `Authenticator`.
        Rule: all are tried, in the order of `enabled`, until one returns a user.
        Example::

            @chatrack.hookimpl
            def authenticators(self):
                return [ApiKeys(self.settings.keys)]
        """

    @hookspec
    def model_providers(self) -> Mapping[str, ModelProvider]:  # type: ignore[empty-body]
        """Return the model providers.

        Result: a mapping from prefix (the part of `provider/model` before the slash) to `ModelProvider`. The
        provider's `get_model` raises `StartupError` if a setting that it needs is missing, such as the key. It is
        called only for models that are used.
        Rule: no two providers have the same prefix.
        Example::

            @chatrack.hookimpl
            def model_providers(self):
                return {"acme": AcmeProvider(self.settings)}
        """

    @hookspec
    def tools(self, database: "Database | None", derive_key: DeriveKey) -> Sequence[Tool]:  # type: ignore[empty-body]
        """Return the tools.

        Result: a sequence of tools, most made with `chatrack.function_tool`.
        Rule: a tool's full name is `<plugin>.<tool>`; no two tools of a plugin have the same name.
        Example::

            @chatrack.hookimpl
            def tools(self):
                return [roll_dice]
        """

    @hookspec
    def agents(self) -> Sequence[AgentSpec]:  # type: ignore[empty-body]
        """Return the agents. Their tools, models and handoffs are names, which are resolved when all plugins are loaded.

        Result: a sequence of `AgentSpec`.
        Rule: an agent's full name is `<plugin>.<agent>`; no two agents of a plugin have the same name.
        Example::

            @chatrack.hookimpl
            def agents(self):
                return [AgentSpec(name="croupier", instructions="Roll dice.", tools=["roll_dice"])]
        """

    @hookspec
    def guardrails(  # type: ignore[empty-body]
        self, database: "Database | None"
    ) -> Mapping[str, InputGuardrail | OutputGuardrail]:
        """Return the guardrails. Agents name those that they use.

        Result: a mapping from name to `InputGuardrail`, `OutputGuardrail` or an object that is both.
        Rule: a guardrail's full name is `<plugin>.<name>`; no two guardrails have the same name.
        Example::

            @chatrack.hookimpl
            def guardrails(self):
                return {"no_dice": NoDice()}
        """

    @hookspec
    def actions(  # type: ignore[empty-body]
        self, database: "Database | None", derive_key: DeriveKey
    ) -> Mapping[str, ActionHandler]:
        """Return the handlers of widget and client actions.

        Result: a mapping from action type, `<plugin>.<verb>`, to an async function of `TurnContext` and
        `ActionCall` that may return the item that replaces the widget.
        Rule: a type begins with the plugin's name.
        Example::

            @chatrack.hookimpl
            def actions(self):
                return {"dice.roll_again": self.roll_again}
        """

    @hookspec
    def user_data(self, database: "Database | None") -> UserData:  # type: ignore[empty-body]
        """Return what exports and purges the data that the plugin stores about users.

        Result: a `UserData`; for tables, `chatrack.sql.TableData`.
        Rule: no two have the same `name`.
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
        """Return the migrations of the plugin's tables.

        Result: `Migrations`: the alembic folder, a version table of its own, the database and the tables.
        Rule: no two have the same version table in one database.
        Example::

            @chatrack.hookimpl
            def migrations(self, database):
                return Migrations(
                    name="dice", folder=Path(__file__).parent / "migrations",
                    version_table="dice_version", database=database, tables=metadata,
                )
        """

    @hookspec
    def routes(  # type: ignore[empty-body]
        self, database: "Database | None", derive_key: DeriveKey
    ) -> Routes | Sequence[ControllerRouterHandler]:
        """Return HTTP routes.

        Result: a sequence of Litestar handlers, mounted under `/x/<plugin>/`, or `Routes` with a prefix of their own. They
        are authenticated (`request.user`, and `request.auth`, the `Access`) unless the handler says
        `opt={"public": True}`.
        Rule: any number of plugins may have routes; no two prefixes overlap.
        Example::

            @chatrack.hookimpl
            def routes(self):
                return [webhook]
        """

    @hookspec
    def lifespan(self) -> AbstractAsyncContextManager[Any]:  # type: ignore[empty-body]
        """Return what lives as long as the server: connections, clients, background tasks.

        Result: an async context manager. Every worker process enters it.
        Rule: entered in the order of `enabled`, after the store has started; left in reverse.
        Example::

            @chatrack.hookimpl
            def lifespan(self):
                return self.client
        """
