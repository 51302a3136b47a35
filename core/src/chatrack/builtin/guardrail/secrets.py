"""`secrets`: masks keys and tokens."""

import re
from typing import Any, ClassVar

import re2  # type: ignore[import-untyped]  # has no stubs

from chatrack import GuardrailContext, InputGuardrail, OutputGuardrail, Replace
from chatrack.interfaces import API_KEY_PREFIX, Verdict

MASK = "\u2039secret hidden\u203a"
"""Stands in place of a secret. Brackets and parentheses could make a link with the text around them."""

INPUT_NOTICE = "A key or token in your message was hidden before it was sent on."
OUTPUT_NOTICE = "A key or token in this answer was hidden."

# In the syntax of RE2, which takes linear time on any text.
_CERTAIN = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{30,}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"xapp-[A-Za-z0-9-]{10,}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    API_KEY_PREFIX + r"[A-Za-z0-9_-]{30,}",  # of api_keys_auth
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON Web Tokens
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?:(?s:.*?)-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|(?s:.*)$)",
)
# Words may look like these, but have no digits.
_WITH_DIGIT = (
    r"(?:\b|_)sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic and others
    r"(?i:\bbearer)\s+[A-Za-z0-9._~+/=-]{16,}",
)
_CERTAIN_SECRET = re2.compile("|".join(_CERTAIN))
_LIKELY_SECRET = re2.compile("|".join(f"(?:{pattern})" for pattern in _WITH_DIGIT))
_SCHEME = re.compile(r"bearer\s+", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")

_KEY_BEGIN = "-----BEGIN"
_KEY_END = re.compile(r"-----END [A-Z0-9 ]*-----")
_BEARER_END = re.compile(r"\bbearer\s{0,50}\Z", re.IGNORECASE)


def mask(text: str) -> str:
    """Return a text without keys and tokens of well-known forms."""
    # A function: RE2 misreads letters outside ASCII in a template.
    text = _CERTAIN_SECRET.sub(lambda _: MASK, text)
    masked: str = _LIKELY_SECRET.sub(_mask_likely, text)
    return masked


def _mask_likely(match: Any) -> str:
    found: str = match.group(0)
    if not _DIGIT.search(found):
        return found
    scheme = _SCHEME.match(found)
    return MASK if scheme is None else f"{scheme.group()}{MASK}"


class Secrets(InputGuardrail, OutputGuardrail):
    """Masks keys and tokens in what users send and in what models answer."""

    by_sentence: ClassVar[bool] = True

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        """Mask secrets of the user."""
        masked = mask(text)
        return None if masked == text else Replace(masked, notice=INPUT_NOTICE)

    async def check_output(self, text: str, context: GuardrailContext) -> Verdict:
        """Mask secrets that the model writes."""
        masked = mask(text)
        return None if masked == text else Replace(masked, notice=OUTPUT_NOTICE)

    def complete_length(self, text: str) -> int:
        """Return where a secret begins that may go on in the next sentence; all others have no spaces."""
        length = len(text)
        begin = text.rfind(_KEY_BEGIN)
        if begin >= 0 and not _KEY_END.search(text, begin):
            length = begin
        scheme = _BEARER_END.search(text, max(0, length - 60), length)
        return length if scheme is None else scheme.start()
