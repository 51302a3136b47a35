"""Ids: a prefix for the kind of object, and a UUIDv7 (48 time-ordered and 74 random bits)."""

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
    """Return a new id: unique without coordination, and not guessable.

    Args:
        kind: the kind of object; one of `PREFIXES`.
    """
    return f"{PREFIXES[kind]}_{uuid_utils.uuid7().hex}"
