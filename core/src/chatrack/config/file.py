"""Reading config.toml. The tables of the core are decoded here, those of plugins when the plugins are loaded."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from chatrack.config.tables import (
    AgentTable,
    ChatTable,
    FilesTable,
    LimitsTable,
    ServerTable,
    ToolTable,
)
from chatrack.errors import ConfigError
from chatrack.settings import Problems, Settings, Source, decode, load_source


class _File(Settings):
    enabled: list[str]
    server: ServerTable = ServerTable()
    chat: ChatTable = ChatTable()
    limits: LimitsTable = LimitsTable()
    files: FilesTable = FilesTable()
    agents: dict[str, AgentTable] = {}
    tools: dict[str, ToolTable] = {}
    plugins: dict[str, dict[str, Any]] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A config file. The tables of the core are decoded.

    Args:
        source: the file and the environment, for decoding the settings of plugins.
        enabled: the names of the enabled plugins, in order.
        server: `[server]`.
        chat: `[chat]`.
        limits: `[limits]`.
        files: `[files]`.
        agents: `[agents.<name>]`.
        tools: `[tools.<name>]`.
        plugins: `[plugins.<name>]`, not decoded.
    """

    source: Source
    enabled: list[str]
    server: ServerTable
    chat: ChatTable
    limits: LimitsTable
    files: FilesTable
    agents: dict[str, AgentTable]
    tools: dict[str, ToolTable]
    plugins: dict[str, dict[str, Any]]


def read_document(path: Path) -> dict[str, Any]:
    """Read a config file as TOML.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file; write one with `chatrack init`, or name one with --config"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> tuple[Config, Problems]:
    """Read and decode a config file.

    Args:
        path: the file.
        environ: the process environment; `os.environ` if None.

    Returns:
        The config and the mistakes found so far. The caller adds those of the plugins and then raises all at once.
        A config with mistakes has default values in their place; use it only to find more mistakes.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    document = read_document(path)
    source = load_source(path, environ)
    problems = Problems(source.file)
    plugins = document.pop("plugins", {})
    if not isinstance(plugins, dict):
        problems.add("plugins", "expected a table of tables")
        plugins = {}
    for name in [name for name, table in plugins.items() if not isinstance(table, dict)]:
        problems.add(f"plugins.{name}", "expected a table")
        del plugins[name]
    decoded = decode(_File, document, key="", source=source, problems=problems)
    if decoded is None:
        # The plugins are loaded all the same, so that their mistakes are reported with these.
        enabled = document.get("enabled")
        names = [name for name in enabled if isinstance(name, str)] if isinstance(enabled, list) else []
        decoded = _File(enabled=names)
    for name in {name for name in decoded.enabled if decoded.enabled.count(name) > 1}:
        problems.add("enabled", f'plugin "{name}" is listed twice')
    return (
        Config(
            source=source,
            enabled=list(dict.fromkeys(decoded.enabled)),
            server=decoded.server,
            chat=decoded.chat,
            limits=decoded.limits,
            files=decoded.files,
            agents=decoded.agents,
            tools=decoded.tools,
            plugins=plugins,
        ),
        problems,
    )
