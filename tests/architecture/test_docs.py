"""The documentation says what the code does."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from chatrack.assembly import assemble
from chatrack.builtin import openai_provider
from chatrack.cli import main
from chatrack.config import AgentTable, ChatTable, FilesTable, LimitsTable, ServerTable
from chatrack.errors import ConfigError, Fault
from chatrack.hookspecs import HookSpecs
from chatrack.models import EndpointSettings
from chatrack.plugins import discover
from chatrack.settings import variables_of
from chatrack_gemini_provider import plugin as gemini_provider

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
SHIPPED = ("config.toml", "config.docker.toml", "config.postgres.toml")
HOOKS = [name for name in vars(HookSpecs) if not name.startswith("_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_the_plugin_guide_shows_the_exact_signature_of_every_hook(hook):
    source = re.sub(r"  #.*", "", inspect.getsource(getattr(HookSpecs, hook)))
    signature = re.search(r"def (\w+\(.*?\) -> .*?):$", source, re.MULTILINE | re.DOTALL).group(1)
    on_one_line = " ".join(signature.split()).replace("( ", "(").replace(" )", ")")
    assert f"### {hook}\n\n`{on_one_line}`" in DOCS["plugins.md"]


def test_the_plugin_guide_has_no_hook_that_does_not_exist():
    section = DOCS["plugins.md"].partition("## Hooks")[2]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == HOOKS


@pytest.mark.parametrize("table", [ServerTable, ChatTable, LimitsTable, FilesTable, AgentTable])
def test_the_user_guide_lists_every_setting_and_no_other(table):
    names = {
        ServerTable: "server",
        ChatTable: "chat",
        LimitsTable: "limits",
        FilesTable: "files",
        AgentTable: "agents.<name>",
    }
    name = names[table]
    section = DOCS["guide.md"].partition(f"### `[{name}]`")[2].partition("\n### ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == [field.name for field in msgspec.structs.fields(table)]
    for field in msgspec.structs.fields(table):
        if (
            isinstance(field.default, str | int | float)
            and field.default is not False
            and table is not AgentTable
        ):
            row = re.search(rf"^\| `{field.name}` \|.*$", section, re.MULTILINE).group(0)
            assert str(field.default).replace("True", "true") in row


def test_the_user_guide_lists_every_shipped_plugin_and_its_settings():
    section = DOCS["guide.md"].partition("### Shipped plugins")[2]
    for name, plugin in discover().items():
        if not plugin.distribution.startswith("chatrack"):
            continue
        row = re.search(rf"^\| `{name}` \| .*$", section, re.MULTILINE)
        assert row, name
        for field in msgspec.structs.fields(plugin.entry_point.load().Settings):
            assert f"`{field.encode_name}`" in row.group(0)


@pytest.mark.parametrize(("page", "text"), DOCS.items())
def test_samples_parse(page, text):
    for language, sample in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "toml":
            tomllib.loads(sample)
        elif language == "python":
            compile(sample, page, "exec", flags=__import__("ast").PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_lists_every_command_with_its_options():
    readme = DOCS["README.md"]
    for name, command in main.commands.items():
        row = re.search(rf"^\| `chatrack {name}(?: [^`]*)?` \|.*$", readme, re.MULTILINE)
        assert row, name
        for option in command.params:
            if option.name not in {"config", "verbose"}:
                assert option.opts[0] in row.group(0)


def test_the_shipped_config_is_valid_without_any_environment(tmp_path):
    shipped = tmp_path / "config.toml"
    shipped.write_text((ROOT / "config.toml").read_text())
    assembly = assemble(shipped, environ={})
    assert assembly.default_agent.model == "demo"
    assert assembly.default_agent.address == "todo_tools.todo"


def test_the_example_environment_names_what_the_shipped_config_reads(tmp_path):
    example = {
        line.partition("=")[0]
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line[:30] and line[0] != "#"
    }
    shipped_configs = [(ROOT / name).read_text() for name in SHIPPED]
    config = re.sub(r"#.*", "", "".join(shipped_configs))
    read = set(re.findall(r'env = "(\w+)"', config))
    for name in tomllib.loads(shipped_configs[0])["enabled"]:
        read |= set(variables_of(discover()[name].entry_point.load().Settings).values())
    assert example == read
    shipped = tmp_path / "config.toml"
    shipped.write_text((ROOT / "config.toml").read_text())
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert assemble(shipped, environ={}).default_agent.model == "demo"
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        assemble(shipped, environ={"LLM_PROVIDER": "openai"})


RECIPES = re.findall(r"^### (.+?)\n.*?```toml\n(.*?)^```", DOCS["models.md"], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("name", "recipe"), RECIPES, ids=[name for name, _ in RECIPES])
def test_every_recipe_for_an_endpoint_makes_its_default_model(tmp_path, name, recipe):
    endpoint = re.search(r"endpoints\.(\w+)", recipe).group(1)
    path = tmp_path / "config.toml"
    path.write_text(
        f'enabled = ["sqlite_store", "compatible_provider"]\n[chat]\nmodel = "{endpoint}"\n{recipe}'
        '[plugins.sqlite_store]\npath = "x.db"\n'
    )
    environ = dict.fromkeys(re.findall(r'env = "(\w+)"', recipe), "sk-x")
    default = re.search(r'default_model = "(.+)"', recipe).group(1)
    assert assemble(path, environ=environ).default_agent.model == f"{endpoint}/{default}"


def test_there_is_a_recipe_for_every_endpoint_that_users_ask_for():
    wanted = {"Ollama", "vLLM", "LM Studio", "LiteLLM", "OpenRouter", "Groq", "Mistral", "Azure OpenAI"}
    assert {name for name, _ in RECIPES} == wanted


def test_the_page_on_models_lists_every_fault_and_every_setting_of_an_endpoint():
    listed = re.findall(r"^\| `(\w+)` \|", DOCS["models.md"], re.MULTILINE)
    assert set(get_args(Fault)) <= set(listed)
    assert {field.name for field in msgspec.structs.fields(EndpointSettings)} <= set(listed)


@pytest.mark.parametrize("provider", [openai_provider, gemini_provider], ids=["openai", "gemini"])
def test_the_page_on_models_names_the_default_models(provider):
    [row] = re.findall(r"^\| `default_model` \|.*$", DOCS["models.md"], re.MULTILINE)
    assert f"`{provider.DEFAULT_MODEL}`" in row
    section = DOCS["models.md"].partition("\n## Default models\n")[2].partition("\n## ")[0]
    assert f"`{provider.DEFAULT_MODEL}`" in section


def test_no_sample_names_a_model_that_ends():
    """By the dates that the providers had announced in November 2026."""
    ending = re.compile(r"gpt-(3\.5|4|5(?!\.[2-9]))|claude-sonnet-4|llama-3\.3|gemini-[12]|whisper-1")
    samples = [
        (name, sample)
        for name, text in DOCS.items()
        for sample in re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    ]
    samples += [(name, (ROOT / name).read_text()) for name in (*SHIPPED, ".env.example")]
    assert not [name for name, sample in samples if ending.search(sample)]
