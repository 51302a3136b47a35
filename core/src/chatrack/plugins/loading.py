"""Loading of plugins: import, API version, hooks, settings, instance."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chatrack.errors import PluginError, StartupError
from chatrack.hookspecs import API, HookSpecs
from chatrack.plugins.discovery import Installed
from chatrack.settings import Problems, Settings, Source, decode, did_you_mean

HOOKS = [name for name in vars(HookSpecs) if not name.startswith("_")]
"""The names of all hooks."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded plugin.

    Args:
        name: its name.
        installed: its entry point and distribution.
        instance: the instance of its class, which has the hooks.
        settings: the settings that the instance got.
        hooks: the names of the hooks that it implements.
    """

    name: str
    installed: Installed
    instance: Any
    settings: Settings
    hooks: Sequence[str]


def load(
    enabled: Sequence[str],
    tables: Mapping[str, object],
    *,
    installed: Mapping[str, Installed],
    source: Source,
    problems: Problems,
) -> list[Loaded]:
    """Import and configure the enabled plugins. No other plugin is imported.

    Args:
        enabled: the names of the plugins, in the order of config.toml.
        tables: the tables `[plugins.<name>]`.
        installed: the installed plugins.
        source: the environment and the folder of the settings.
        problems: gets the mistakes in settings, and one for each plugin that cannot be loaded.

    Returns:
        The plugins without mistakes, in order.
    """
    loaded = []
    for name in enabled:
        try:
            plugin = _load_one(
                name, tables.get(name, {}), installed=installed, source=source, problems=problems
            )
        except StartupError as error:
            problems.add_error(error)
            continue
        if plugin is not None:
            loaded.append(plugin)
    return loaded


def _load_one(
    name: str, table: object, *, installed: Mapping[str, Installed], source: Source, problems: Problems
) -> Loaded | None:
    plugin = installed.get(name)
    if plugin is None:
        known = ", ".join(sorted(installed)) or "none"
        problems.add(
            "enabled",
            f'plugin "{name}" is not installed{did_you_mean(name, installed)}; installed plugins: {known}',
        )
        return None

    def failure(stage: Any, message: str) -> PluginError:
        return PluginError(name, stage, message, distribution=plugin.source)

    try:
        cls = plugin.entry_point.load()
    except (Exception, SystemExit) as error:
        raise failure("import", f"{plugin.entry_point.value}: {type(error).__name__}: {error}") from error
    if not isinstance(cls, type):
        raise failure("import", f"{plugin.entry_point.value} is not a class; the entry point must name one")
    api = getattr(cls, "api", None)
    if api != API:
        stated = f"`api = {api}`" if api is not None else "no `api`"
        raise failure("api", f"written for {stated}; this version of Chatrack has plugin API {API}")
    hooks = _hooks(cls, failure)
    settings_type = getattr(cls, "Settings", Settings)
    if not (isinstance(settings_type, type) and issubclass(settings_type, msgspec.Struct)):
        raise failure("settings", "`Settings` must be a subclass of `chatrack.Settings`")
    try:
        settings = decode(settings_type, table, key=f"plugins.{name}", source=source, problems=problems)
    except (NameError, TypeError) as error:  # a mistake in the class, not in the table
        raise failure("settings", f"`Settings` cannot be read: {error}") from error
    if settings is None:
        return None
    try:
        instance = cls(settings) if any("__init__" in vars(base) for base in cls.__mro__[:-1]) else cls()
    except StartupError as error:
        raise failure("settings", "; ".join(error.lines)) from error
    except Exception as error:
        raise failure("settings", f"{cls.__name__}(settings): {type(error).__name__}: {error}") from error
    return Loaded(name=name, installed=plugin, instance=instance, settings=settings, hooks=hooks)  # type: ignore[arg-type]  # any Struct will do


def _hooks(cls: type, failure: Any) -> list[str]:
    """Return the names of the hooks that a class implements, in the order of their specifications.

    Raises:
        PluginError: a hook has an unknown name or argument, or is asynchronous.
    """
    hooks = []
    for name, member in inspect.getmembers(cls, callable):
        if getattr(member, "chatrack_impl", None) is None:
            continue
        if name not in HOOKS:
            raise failure(
                "hook", f"there is no hook `{name}`{did_you_mean(name, HOOKS)}; hooks: {', '.join(HOOKS)}"
            )
        if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
            raise failure(
                "hook", f"`{name}` must be an ordinary function, not `async`: hooks run at start-up"
            )
        allowed = set(inspect.signature(getattr(HookSpecs, name)).parameters)
        unknown = set(inspect.signature(member).parameters) - allowed
        if unknown:
            takes = ", ".join(sorted(allowed - {"self"})) or "nothing"
            raise failure("hook", f"`{name}` takes {takes}; unknown arguments: {', '.join(sorted(unknown))}")
        hooks.append(name)
    return sorted(hooks, key=HOOKS.index)
