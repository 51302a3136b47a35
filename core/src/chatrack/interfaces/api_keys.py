"""API keys: their form, and their hashes."""

import hashlib
import secrets
from typing import Final

API_KEY_PREFIX: Final = "ctk_"
"""What every API key begins with, so that it is told apart from other bearer tokens, and found where it should not be."""

_RANDOM_BYTES = 32
_HASH_PREFIX = "sha256:"
HASH_PATTERN: Final = rf"^{_HASH_PREFIX}[0-9a-f]{{64}}$(?!\n)"
"""The form of a hash. Python's `$` would accept a line feed at the end."""


def generate_api_key() -> str:
    """Return a new key, of 256 random bits."""
    return f"{API_KEY_PREFIX}{secrets.token_urlsafe(_RANDOM_BYTES)}"


def hash_api_key(key: str) -> str:
    """Return the hash of a key, which configs and databases keep in its place.

    A fast hash is enough: nobody can guess 256 random bits.
    """
    return f"{_HASH_PREFIX}{hashlib.sha256(key.encode()).hexdigest()}"
