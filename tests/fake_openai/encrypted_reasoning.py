"""Encrypted reasoning and thought signatures, which the fake creates and recognizes."""

from __future__ import annotations

import base64
import hashlib
import secrets

_PREFIX = "gAAAAAB"
_KEY = b"of the fake upstream, which has no secrets to keep"
_DIGEST = 32


def seal() -> str:
    """Return new encrypted reasoning, which every process of the fake recognizes, also after a reset."""
    nonce = secrets.token_bytes(96)
    digest = hashlib.blake2b(nonce, key=_KEY, digest_size=_DIGEST).digest()
    return _PREFIX + base64.urlsafe_b64encode(nonce + digest).decode()


def is_sealed(text: str) -> bool:
    """Return whether `text` is encrypted reasoning of the fake."""
    try:
        data = base64.urlsafe_b64decode(text.removeprefix(_PREFIX).encode())
    except ValueError:
        return False
    nonce, digest = data[:-_DIGEST], data[-_DIGEST:]
    return (
        text.startswith(_PREFIX) and hashlib.blake2b(nonce, key=_KEY, digest_size=_DIGEST).digest() == digest
    )


def signature(call_id: str) -> str:
    """Return the thought signature of a tool call."""
    return base64.b64encode(hashlib.blake2b(call_id.encode(), key=_KEY).digest()).decode()
