"""The guardrails of an agent: names are resolved, and settings that they need are checked."""

import msgspec

from chatrack.assembly.names import Registry
from chatrack.errors import StartupError
from chatrack.interfaces import AgentSpec, InputGuardrail, OutputGuardrail
from chatrack.settings import Problems


class BoundGuardrail(msgspec.Struct, frozen=True):
    """A guardrail and its full name.

    Args:
        address: `<plugin>.<name>`.
        guardrail: the guardrail.
    """

    address: str
    guardrail: InputGuardrail | OutputGuardrail


def find_guardrails(
    spec: AgentSpec,
    registry: Registry[InputGuardrail | OutputGuardrail],
    key: str,
    problems: Problems,
) -> list[BoundGuardrail]:
    """Return the guardrails that an agent names, in its order and each once."""
    matches = registry.match_all(spec.guardrails, f"{key}.guardrails", problems)
    return [BoundGuardrail(address, guardrail) for address, guardrail in matches.items()]


def check_settings(guardrails: list[BoundGuardrail], key: str, problems: Problems) -> None:
    """Report the settings that an agent's guardrails lack."""
    for bound in guardrails:
        try:
            bound.guardrail.check_settings()
        except StartupError as error:
            for line in error.lines:
                problems.add(f"{key}.guardrails", f"{bound.address}: {line}")
        except Exception as error:  # noqa: BLE001  (a mistake in the plugin)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            problems.add(f"{key}.guardrails", f"{bound.address}: {reason}")
