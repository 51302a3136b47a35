"""Ids: a prefix that says what it is, and a UUIDv7 (48 time-ordered and 74 random bits)."""

import uuid_utils
from chatkit.store import StoreItemType

PREFIXES: dict[str, str] = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
    "turn": "trn",
    "request": "req",
}


def new_id(kind: StoreItemType | str) -> str:
    """Make an id, unique without asking anyone and not to be guessed.

    Args:
        kind: what it is for; one of `PREFIXES`.
    """
    return f"{PREFIXES[kind]}_{uuid_utils.uuid7().hex}"
