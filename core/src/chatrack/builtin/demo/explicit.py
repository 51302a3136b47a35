"""What is meant to the letter: `call NAME {json}`, `echo: TEXT` and `history?`, for trying tools out."""

import json
import re
from collections.abc import Sequence

from chatrack.builtin.demo import phrases
from chatrack.builtin.demo.conversation import Conversation, Step
from chatrack.builtin.demo.decision import Call, Calls, Decision, Say
from chatrack.builtin.demo.matching import not_json
from chatrack.builtin.demo.offers import Offer

_CALL = re.compile(r"\s*call\s+([A-Za-z0-9_-]+)\s+(\{.*\})\s*", re.DOTALL)
_ECHO = re.compile(r"\s*echo: ?(?P<text>.*\S.*)", re.DOTALL | re.IGNORECASE)
_HISTORY = "history?"


def explicit(conversation: Conversation, steps: Sequence[Step], offered: Sequence[Offer]) -> Decision | None:
    """Do what is said to the letter, or give None if nothing is.

    Args:
        conversation: the last message of the user, and what was done before it.
        steps: what this agent did about the message.
        offered: what can be called.
    """
    message = conversation.message
    calls = _calls(message, offered)
    if isinstance(calls, Say):
        return calls
    if calls:
        if steps:
            return Say(phrases.results(steps))
        return calls[0] if len(calls) == 1 else Calls(calls)
    if echo := _ECHO.fullmatch(message):
        return Say(echo["text"])
    if message.strip() == _HISTORY:
        return Say(phrases.results(conversation.before) if conversation.before else "No tool was called yet.")
    return None


def _calls(message: str, offered: Sequence[Offer]) -> list[Call] | Say:
    offers = {offer.name: offer for offer in offered}
    found = []
    for line in message.split("\n"):  # a JSON text may hold the other separators of lines as they are
        match = _CALL.fullmatch(line)
        if match is None or match[1] not in offers:
            continue
        try:
            found.append(Call(match[1], json.loads(match[2])))
        except (ValueError, RecursionError):
            return Say(not_json(offers[match[1]]))
    return found
