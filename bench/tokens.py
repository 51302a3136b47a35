"""``python -m bench.tokens``: what a verified token costs, with `jwt_auth` and without an authenticator."""

from __future__ import annotations

import sys
import time

import jwt

from bench.pair import compare

_SECRET = "the secret of a benchmark on loopback"


def _enable(config: str) -> str:
    text = config.replace("enabled = [", 'enabled = ["jwt_auth", ')
    return f'{text}[plugins.jwt_auth]\nsecret = "{_SECRET}"\n'


def _with_token(request: bytes) -> bytes:
    """Add the token of the local user, whose threads the server without an authenticator has stored."""
    claims = {
        "sub": "local",
        "exp": int(time.time()) + 86_400,
        "iss": "https://issuer.example.com/",
        "aud": "chat",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "roles": ["editor", "reader"],
    }
    line, _, rest = request.partition(b"\r\n")
    header = f"Authorization: Bearer {jwt.encode(claims, _SECRET)}".encode()
    return b"\r\n".join([line, header, rest])


if __name__ == "__main__":
    sys.exit(compare(_enable, _with_token))
