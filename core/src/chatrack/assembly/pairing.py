"""The two sides of a copy, and the tables that they have in common."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import MetaData

from chatrack.assembly.assembly import Assembly, assemble
from chatrack.errors import RequestError, StartupError
from chatrack.interfaces import Migrations
from chatrack.plugins import HookResult
from chatrack.sql.copying import database_identity

RESUMABLE_HINT = "What was copied stays; run the same command again to resume."
"""Added to the error when a database cannot be reached in the middle of a copy."""


class _NamedError(StartupError):
    """An error that names the config already."""


class CopySide(msgspec.Struct, frozen=True):
    """One of the two configs of a copy.

    Args:
        config: the path of the config file.
        assembly: the assembly of the config; not running.
    """

    config: Path
    assembly: Assembly

    def error(self, plugin: str, message: str) -> StartupError:
        """Return an error that names the config and the plugin."""
        return _NamedError(f"{self.config}: {self.assembly.plugins.error(plugin, 'copy', message)}")

    @contextlib.contextmanager
    def attribute_errors(self, plugin: str) -> Iterator[None]:
        """Turn every exception into an error that names the config and a plugin.

        Raises:
            StartupError: an exception was raised in the context.
        """
        try:
            yield
        except _NamedError:
            raise
        except StartupError as error:
            raise self.error(plugin, "; ".join(error.lines)) from error
        except RequestError as error:
            raise self.error(plugin, f"{error.detail} {RESUMABLE_HINT}") from error
        except Exception as error:
            raise self.error(plugin, f"{type(error).__name__}: {error}") from error


class Pair(msgspec.Struct, frozen=True):
    """The migrations of the same tables in both configs."""

    source: HookResult[Migrations]
    target: HookResult[Migrations]


class Pairing(msgspec.Struct, frozen=True):
    """The tables to copy.

    Args:
        pairs: the migrations whose tables are copied, the store's first.
        same: the plugins whose database is the same in both configs.
    """

    pairs: Sequence[Pair]
    same: Sequence[str]


def load_side(config: Path) -> CopySide:
    """Assemble one of the two configs.

    Raises:
        StartupError: the config or a plugin has mistakes; every line names the path of the config file.
    """
    try:
        return CopySide(config, assemble(config))
    except StartupError as error:
        raise StartupError([_with_path(config, line) for line in error.lines]) from error


def pair(source: CopySide, target: CopySide) -> Pairing:
    """Find the migrations of the source in the target.

    Raises:
        StartupError: tables of the source cannot be copied to the target; there is a line for each reason.
    """
    lines = [*_check_store(source), *_check_store(target)]
    targets = {_key(migrations.value): migrations for migrations in target.assembly.migrations}
    pairs: list[Pair] = []
    same: dict[str, str] = {}
    for original in source.assembly.migrations:
        plugin, tables = original.plugin, original.value.tables
        identity = database_identity(original.value.database)
        counterpart = targets.get(_key(original.value))
        if counterpart is None:
            advice = (
                "the two stores have different tables"
                if plugin == source.assembly.store_plugin
                else f"enable {plugin} there, or leave what is in them behind by disabling it in {source.config}"
            )
            lines += source.error(plugin, f"its tables have no place in {target.config}: {advice}").lines
        elif identity == database_identity(counterpart.value.database):
            same[plugin] = identity
        elif tables is None or counterpart.value.tables is None:
            message = "does not say which tables it has (`Migrations.tables`), so they cannot be copied"
            lines += source.error(plugin, message).lines
        else:
            lines += _check_primary_keys(source, plugin, tables)
            if set(tables.tables) != set(counterpart.value.tables.tables):
                lines += source.error(plugin, f"it has tables of other names in {target.config}").lines
            pairs.append(Pair(original, counterpart))
    if not lines and source.assembly.store_plugin in same:
        lines.append(
            f"{source.config} and {target.config} have the same database, "
            f"{same[source.assembly.store_plugin]}: there is nothing to copy"
        )
    if lines:
        raise StartupError(lines)
    pairs.sort(key=lambda pair: pair.source.plugin != source.assembly.store_plugin)
    return Pairing(pairs, list(same))


def _check_store(side: CopySide) -> list[str]:
    """Return the error lines about a store that cannot be copied."""
    plugin = side.assembly.store_plugin
    if side.assembly.store.database is None:
        return side.error(
            plugin, "the store has no `chatrack.sql.Database`; only such stores can be copied"
        ).lines
    if all(migrations.plugin != plugin for migrations in side.assembly.migrations):
        return side.error(plugin, "has no `migrations`, so the store's tables cannot be copied").lines
    return []


def _check_primary_keys(side: CopySide, plugin: str, tables: MetaData) -> list[str]:
    """Return the error lines about tables without a primary key, which rows are read in the order of."""
    return [
        line
        for table in tables.sorted_tables
        if not table.primary_key.columns
        for line in side.error(
            plugin, f"its table {table.name} has no primary key, so it cannot be copied"
        ).lines
    ]


def _key(migrations: Migrations) -> tuple[str, str]:
    """Return what migrations of the same tables have in common in all databases."""
    return (migrations.version_table, migrations.name)


def _with_path(config: Path, line: str) -> str:
    """Replace the name of the config file in an error by its path: the two files may have the same name."""
    if line.startswith(f"{config}:"):
        return line
    return f"{config}: {line.removeprefix(f'{config.name}: ')}"
