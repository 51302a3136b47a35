"""Mistakes about guardrails stop the start, and name plugin, agent and key."""

import asyncio
import re
from pathlib import Path

import pytest

from chatrack import Replace
from chatrack.assembly import assemble
from chatrack.errors import StartupError
from tests.support.commands import run

CONFIG = """
enabled = ["sqlite_store", "demo_provider", "guardrails"{more}]
[chat]
model = "demo"
agent = "helper"
[agents.helper]
instructions = "You help."
guardrails = {guardrails}
[plugins.sqlite_store]
path = "chat.db"
{extra}
"""

PLUGIN = """
@hookimpl
def guardrails(self):
    class Good(InputGuardrail):
        async def check_input(self, text, context):
            return None
    class Sync(InputGuardrail):
        def check_input(self, text, context):
            return None
    return {}
"""


def mistakes(write_config, *, guardrails='["secrets"]', more="", extra="", environ=None):
    config = write_config(CONFIG.format(guardrails=guardrails, more=more, extra=extra))
    with pytest.raises(StartupError) as caught:
        assemble(config, environ=environ or {})
    return "\n".join(caught.value.lines)


@pytest.mark.parametrize(
    ("guardrails", "extra", "expected"),
    [
        ('["secrts"]', "", ["agents.helper.guardrails", '"secrts"', "secrets", "did you mean"]),
        ('["max_input_chars"]', "", ["agents.helper.guardrails", "plugins.guardrails.max_input_chars"]),
        ('["guardrails.blocked_patterns"]', "", ["plugins.guardrails.blocked_patterns is not set"]),
        ('["moderation"]', "", ["plugins.guardrails.moderation.api_key", "OPENAI_API_KEY"]),
        (
            "[]",
            "[plugins.guardrails]\nblocked_patterns = ['(']",
            ["plugins.guardrails.blocked_patterns", "'('"],
        ),
        ("[]", "[plugins.guardrails]\nblocked_patterns = ['(?=x)']", ["plugins.guardrails.blocked_patterns"]),
        ("[]", "[plugins.guardrails]\nmax_input_chars = 0", ["plugins.guardrails.max_input_chars"]),
        (
            "[]",
            "[plugins.guardrails.moderation]\napplies_to = 'x'",
            ["plugins.guardrails.moderation.applies_to"],
        ),
    ],
)
def test_mistakes_in_config_toml_name_their_key(write_config, guardrails, extra, expected):
    lines = mistakes(write_config, guardrails=guardrails, extra=extra)
    for part in expected:
        assert part in lines


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ('{"x": 1}', "must return an InputGuardrail or OutputGuardrail for 'x', got int"),
        ('{"x": Sync()}', "`check_input` of 'x' must be an async method"),
        ("[Good()]", "`guardrails` must return Mapping, got list"),
        ('{"secrets": Good()}', 'plugin guardrails has a guardrail "secrets" too; enable one'),
    ],
)
def test_mistakes_of_a_plugin_name_the_plugin(write_config, site, result, expected):
    site.install("acme", PLUGIN.replace("return {}", f"return {result}"))
    lines = mistakes(write_config, more=', "acme"')
    assert "plugin acme (fake-acme 1.0): hook:" in lines
    assert expected in lines


def test_an_agent_of_a_plugin_may_name_guardrails_and_config_toml_others(write_config, site):
    site.install(
        "acme",
        """
@hookimpl
def agents(self):
    return [AgentSpec(name="clerk", instructions="Serve.", guardrails=["secrets"])]
""",
    )
    config = CONFIG.format(guardrails='["guardrails.secrets", "secrets"]', more=', "acme"', extra="")
    config = config.replace('agent = "helper"', 'agent = "clerk"')
    agents = assemble(write_config(config), environ={}).agents
    assert [bound.address for bound in agents["acme.clerk"].guardrails] == ["guardrails.secrets"]
    config += "[plugins.guardrails]\nmax_input_chars = 9\n[agents.clerk]\nguardrails = ['max_input_chars']\n"
    agents = assemble(write_config(config), environ={}).agents
    assert [bound.address for bound in agents["acme.clerk"].guardrails] == ["guardrails.max_input_chars"]


def test_the_documented_guardrail_works(write_config, site):
    page = (Path(__file__).parents[2] / "docs" / "guardrails.md").read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    site.install_source("acme", source, target="NoDicePlugin")
    config = write_config(CONFIG.format(guardrails='["no_dice"]', more=', "acme"', extra=""))
    [bound] = assemble(config, environ={}).default_agent.guardrails
    assert bound.address == "acme.no_dice"
    check = bound.guardrail.check_output("Roll the dice.", None)
    assert asyncio.run(check) == Replace("Roll the ****.", notice="A word was masked.")


def test_check_and_plugins_show_guardrails(write_config):
    config = write_config(CONFIG.format(guardrails='["secrets"]', more="", extra=""))
    assert "helper: guardrails.secrets" in run("check", "--config", str(config)).out
    listed = run("plugins", "--config", str(config))
    [line] = [line for line in listed.out.splitlines() if line.startswith("guardrails")]
    assert "guardrails, lifespan" in line
