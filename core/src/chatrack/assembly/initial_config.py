"""The config.toml and .env.example that `chatrack init` writes."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from chatrack.errors import StartupError
from chatrack.interfaces import ModelProvider
from chatrack.plugins import Installed, Loaded, PluginManager, discover, load
from chatrack.settings import Problems, Source, variables_of

_OWN_DISTRIBUTION = "chatrack"
"""The distribution whose plugins come before others of their kind."""

_CONFIG = """\
# Chatrack's configuration. This file runs as it stands, without any key.
# Every value may be replaced by {{ env = "NAME", default = ... }} or {{ file = "path" }}.

enabled = {enabled}

[server]
host = "127.0.0.1"
port = 8000
cors_origins = {{ env = "ALLOWED_ORIGINS", default = ["http://localhost:3000"] }}
domain_keys = {{ env = "CHATKIT_DOMAIN_KEY", default = [] }}
log_level = {{ env = "LOG_LEVEL", default = "info" }}

[chat]
{chat}
[limits]                                            # none by default
requests = {{ env = "RATE_LIMIT_REQUESTS" }}          # of a user in `window` seconds
window = {{ env = "RATE_LIMIT_WINDOW" }}
{tables}"""

_ENVIRONMENT = """\
# Copy this file to `.env` beside config.toml. Variables of the process override these; an empty one counts as not
# set.

# The model that answers: {models}, or "<provider>/<model>".
LLM_PROVIDER=

# Origins of the pages that embed the chat, separated by commas.
ALLOWED_ORIGINS=http://localhost:3000

# The domain key that the chat must send as X-Domain-Key; none is required if this is empty.
CHATKIT_DOMAIN_KEY=

# debug, info, warning or error.
LOG_LEVEL=

# How many requests a user may send in how many seconds (60): no limit if the first one is empty.
RATE_LIMIT_REQUESTS=
RATE_LIMIT_WINDOW=
{plugins}"""


class InitialConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that runs without any further setting.

    Args:
        config: the text of config.toml.
        environment: the text of .env.example.
        left_out: the installed plugins that are not enabled, with the reason.
    """

    config: str
    environment: str
    left_out: Mapping[str, str]


def initial_config(path: Path) -> InitialConfig:
    """Compose a configuration for the plugins that are installed.

    A plugin is enabled if it can be loaded without any setting. Of several stores, and of several file stores, only one is
    enabled.

    Args:
        path: where config.toml will be written; relative paths in settings are relative to it.

    Raises:
        StartupError: no installed plugin provides a model that needs no setting.
    """
    # Not the process environment: the files must not depend on it.
    source = Source(file=path.name, folder=path.absolute().parent, environ={})
    plugins, left_out = _usable_plugins(discover(), source)
    manager = PluginManager(plugins, source.file, secrets=_no_secrets)
    providers = {
        prefix: provider for result in manager.model_providers() for prefix, provider in result.value.items()
    }
    agents = [agent.name for result in manager.agents() for agent in result.value]
    default_model = _default_model(providers)
    names = [f'"{prefix}" (default)' if prefix == default_model else f'"{prefix}"' for prefix in providers]
    return InitialConfig(
        config=_CONFIG.format(
            enabled=json.dumps([plugin.name for plugin in plugins]),
            chat=_chat_table(agents, default_model),
            tables="".join(_plugin_table(plugin) for plugin in plugins),
        ),
        environment=_ENVIRONMENT.format(
            models=", ".join(names), plugins="".join(_plugin_variables(plugin) for plugin in plugins)
        ),
        left_out=left_out,
    )


def _usable_plugins(
    installed: Mapping[str, Installed], source: Source
) -> tuple[list[Loaded], dict[str, str]]:
    """Return the plugins to enable, in order, and the reasons why the others are not."""
    usable, left_out = [], {}
    for name in installed:
        try:
            usable.append(_load(name, installed, source))
        except StartupError as error:
            left_out[name] = "; ".join(line.removeprefix(f"{source.file}: ") for line in error.lines)
    for plugin in [plugin for plugin in usable if "authenticators" in plugin.hooks]:
        usable.remove(plugin)
        left_out[plugin.name] = "who may come in is your choice; see docs/authentication.md"
    for plugin in [plugin for plugin in usable if set(plugin.hooks) <= {"guardrails", "lifespan"}]:
        usable.remove(plugin)
        left_out[plugin.name] = "agents have to name its guardrails; see docs/guardrails.md"
    usable.sort(key=_rank)
    for hook, kind in (("store", "store"), ("file_store", "file store")):
        chosen, *others = [plugin.name for plugin in usable if hook in plugin.hooks] or [""]
        left_out |= dict.fromkeys(others, f"there is a {kind} already, {chosen}")
        usable = [plugin for plugin in usable if plugin.name not in others]
    return usable, left_out


def _load(name: str, installed: Mapping[str, Installed], source: Source) -> Loaded:
    """Load a plugin without any setting.

    Raises:
        StartupError: it needs a setting, is broken, or provides nothing.
    """
    problems = Problems(source.file)
    loaded = load([name], {}, installed=installed, source=source, problems=problems)
    problems.raise_if_any()
    [plugin] = loaded
    provided = PluginManager(loaded, source.file, secrets=_no_secrets).model_providers()
    if "model_providers" in plugin.hooks and not any(result.value for result in provided):
        raise StartupError("it has no model provider without settings")
    return plugin


def _no_secrets() -> list[bytes]:
    raise AssertionError("no hook that is called here takes `derive_key`")


def _rank(plugin: Loaded) -> tuple[int, bool, str]:
    """Return the sort key of a plugin: stores first, then model providers, then the rest."""
    hooks = plugin.hooks
    kinds = ["store" in hooks, "file_store" in hooks, "model_providers" in hooks, True]
    return kinds.index(True), plugin.installed.distribution != _OWN_DISTRIBUTION, plugin.name


def _default_model(providers: Mapping[str, ModelProvider]) -> str:
    """Return the first provider whose default model needs no setting, such as a key.

    Raises:
        StartupError: there is none.
    """
    for prefix, provider in providers.items():
        try:
            provider.get_model(None)
        except StartupError:
            continue
        return prefix
    raise StartupError("no installed plugin provides a model that needs no setting")


def _chat_table(agents: list[str], default_model: str) -> str:
    """Return the lines of `[chat]`, each with a comment. With several agents the choice is left to the operator."""
    lines = {
        f'model = {{ env = "LLM_PROVIDER", default = {json.dumps(default_model)} }}': '"provider" or "provider/model"',
        'on_disconnect = "cancel"': 'or "continue"',
    }
    if len(agents) == 1:
        lines = {f"agent = {json.dumps(agents[0])}": "the entry agent", **lines}
    width = max(map(len, lines))
    return "".join(f"{line.ljust(width)}  # {comment}\n" for line, comment in lines.items())


def _plugin_table(plugin: Loaded) -> str:
    """Return a plugin's table: its paths, and the settings that have a default and a variable."""
    variables = variables_of(type(plugin.settings))
    lines = []
    for field in msgspec.structs.fields(plugin.settings):
        name, default = field.encode_name, field.default
        if isinstance(default, Path):
            lines.append(f"{name} = {json.dumps(default.as_posix())}\n")
        elif name in variables and isinstance(default, str | int | float):
            # Without the default: a copy of it here would outlive the plugin's own.
            lines.append(f'{name} = {{ env = "{variables[name]}" }}\n')
    return f"\n[plugins.{plugin.name}]\n{''.join(lines)}" if lines else ""


def _plugin_variables(plugin: Loaded) -> str:
    """Return the lines of .env.example for the settings of a plugin that have a variable."""
    variables = variables_of(type(plugin.settings))
    lines = "".join(f"{variable}=\n" for variable in variables.values())
    return f"\n# {plugin.name}: {', '.join(variables)}.\n{lines}" if lines else ""
