"""Which tables of one config are which of another."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from chatrack.assembly.assembly import Assembly, assemble
from chatrack.errors import RequestError, StartupError
from chatrack.interfaces import Migrations
from chatrack.plugins import HookResult
from chatrack.sql.copying import database_identity

RESUMABLE_HINT = "What has arrived stays, and the same command goes on where it was."
"""What an operator may want to know when a copy has ended too early."""


class _NamedError(StartupError):
    """An error that names a config already."""


class CopySide(msgspec.Struct, frozen=True):
    """One of the two configs of a copy.

    Args:
        config: the path of the file.
        assembly: what it says.
    """

    config: Path
    assembly: Assembly

    def error(self, plugin: str, message: str) -> StartupError:
        """Make an error that names the config and the plugin."""
        return _NamedError(f"{self.config}: {self.assembly.plugins.error(plugin, 'copy', message)}")

    @contextlib.contextmanager
    def attribute_errors(self, plugin: str) -> Iterator[None]:
        """Name the config and the plugin in whatever goes wrong."""
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
    """One history of tables in both configs."""

    source: HookResult[Migrations]
    target: HookResult[Migrations]


class Pairing(msgspec.Struct, frozen=True):
    """What is to be copied.

    Args:
        pairs: the histories whose tables are copied, the store's first.
        same: the plugins whose database is the same in both configs.
    """

    pairs: Sequence[Pair]
    same: Sequence[str]


def load_side(config: Path) -> CopySide:
    """Assemble one of the two configs.

    Raises:
        StartupError: something is wrong; every line names the file by its path.
    """
    try:
        return CopySide(config, assemble(config))
    except StartupError as error:
        raise StartupError([_with_path(config, line) for line in error.lines]) from error


def pair(source: CopySide, target: CopySide) -> Pairing:
    """Find the histories of one config in the other.

    Raises:
        StartupError: something that one has cannot be copied into the other.
    """
    lines = [*_missing_store(source), *_missing_store(target)]
    others = {_identity(one.value): one for one in target.assembly.migrations}
    pairs: list[Pair] = []
    same: dict[str, str] = {}
    for one in source.assembly.migrations:
        other = others.get(_identity(one.value))
        if other is None:
            advice = (
                "the two stores have different tables"
                if one.plugin == source.assembly.store_plugin
                else f"enable {one.plugin} there, or leave what is in them behind by disabling it in {source.config}"
            )
            lines += source.error(one.plugin, f"its tables have no place in {target.config}: {advice}").lines
        elif (place := database_identity(one.value.database)) == database_identity(other.value.database):
            same[one.plugin] = place
        elif one.value.tables is None or other.value.tables is None:
            lines += source.error(
                one.plugin, "does not say which tables it has (`Migrations.tables`), so they cannot be copied"
            ).lines
        else:
            lines += _without_key(source, one)
            if set(one.value.tables.tables) != set(other.value.tables.tables):
                lines += source.error(one.plugin, f"it has tables of other names in {target.config}").lines
            pairs.append(Pair(one, other))
    if not lines and source.assembly.store_plugin in same:
        lines.append(
            f"{source.config} and {target.config} have the same database, "
            f"{same[source.assembly.store_plugin]}: there is nothing to copy"
        )
    if lines:
        raise StartupError(lines)
    pairs.sort(key=lambda pair: pair.source.plugin != source.assembly.store_plugin)
    return Pairing(pairs, list(same))


def _missing_store(end: CopySide) -> list[str]:
    """Complain about a store whose tables nobody knows."""
    plugin = end.assembly.store_plugin
    if end.assembly.store.database is None:
        return end.error(
            plugin, "the store has no `chatrack.sql.Database`; only such stores can be copied"
        ).lines
    if all(one.plugin != plugin for one in end.assembly.migrations):
        return end.error(plugin, "gives no `migrations`, so the store's tables cannot be copied").lines
    return []


def _without_key(end: CopySide, one: HookResult[Migrations]) -> list[str]:
    """Complain about tables that cannot be read in an order."""
    assert one.value.tables is not None
    return [
        line
        for table in one.value.tables.sorted_tables
        if not table.primary_key.columns
        for line in end.error(
            one.plugin, f"its table {table.name} has no primary key, so it cannot be copied"
        ).lines
    ]


def _identity(migrations: Migrations) -> tuple[str, str]:
    return (migrations.version_table, migrations.name)


def _with_path(config: Path, line: str) -> str:
    """Name the file by its path: two configs may well have the same name."""
    if line.startswith(f"{config}:"):
        return line
    return f"{config}: {line.removeprefix(f'{config.name}: ')}"
