"""Checks of models that sign their tool calls (``-sig``): their own calls need the signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fake_openai.refusal import RefusedError

# Google's documentation names it for histories of other models, and clients send it:
# https://github.com/agentjido/req_llm/pull/427
_SKIP = "skip_thought_signature_validator"


def check(body: dict[str, Any], signatures: Mapping[str, str]) -> None:
    """Refuse messages with a tool call that is in `signatures` but lacks its signature.

    The real API checks every call since the last user message, whichever model made it:
    https://discuss.ai.google.dev/t/openai-api-compatibility-broken-due-to-thought-signature-on-gemini-3-pro-preview/109823
    """
    for position, message in enumerate(body["messages"], 1):
        for call in message.get("tool_calls") or []:
            expected = signatures.get(call.get("id"))
            google = (call.get("extra_content") or {}).get("google") or {}
            if expected is not None and google.get("thought_signature") not in (expected, _SKIP):
                raise RefusedError(
                    "Function call is missing a thought_signature in functionCall parts. This is required for "
                    "tools to work correctly, and missing thought_signature may lead to degraded model "
                    f"performance. Additional data, function call `default_api:{call['function']['name']}` , "
                    f"position {position}. Please refer to "
                    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
                )
