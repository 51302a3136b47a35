"""JSON Web Tokens as an issuer makes them, and as nobody should."""

import base64
import functools
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SECRET = "a-shared-secret-of-more-than-32-bytes"

_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


@functools.cache
def private_key(algorithm: str, name: str = "") -> Any:
    """Return a private key for an algorithm.

    Args:
        algorithm: such as ES256; an RSA key serves all that begin with RS.
        name: different names have different keys.
    """
    if algorithm.startswith("RS"):
        return _rsa_key(name)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[algorithm]())


@functools.cache
def _rsa_key(_name: str) -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(private: Any) -> str:
    """Return the public key of a private key, in PEM."""
    return str(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


def private_pem(private: Any) -> str:
    """Return a private key in PEM."""
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a token that is valid for an hour; a change to None leaves a claim out."""
    values = {"sub": "alice", "exp": int(time.time()) + 3600, **changes}
    return {name: value for name, value in values.items() if value is not None}


def token(
    payload: dict[str, Any] | str | bytes,
    key: Any = SECRET,
    algorithm: str = "HS256",
    *,
    header: dict[str, Any] | str | None = None,
    **header_changes: Any,
) -> str:
    """Return a signed token.

    Args:
        payload: the claims, or what stands in their place.
        key: a secret, its bytes, or a private key; "" signs with nothing.
        algorithm: how it is signed.
        header: the whole header, or what stands in its place.
        header_changes: what else is in the header; a change to None leaves a name out.
    """
    if header is None:
        changed = {"alg": algorithm, "typ": "JWT", **header_changes}
        header = {name: value for name, value in changed.items() if value is not None}
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{part(_signature(signed.encode(), key, algorithm))}"


def part(value: dict[str, Any] | list[Any] | str | bytes) -> str:
    """Return a part of a token: JSON, or what stands in its place, in base64url without padding."""
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, str):
        value = value.encode()
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _signature(message: bytes, key: Any, algorithm: str) -> bytes:
    if key == "":
        return b""
    if isinstance(key, str):
        key = key.encode()
    if isinstance(key, bytes):
        return hmac.new(key, message, _HASHES[algorithm]).digest()
    return bytes(jwt.get_algorithm_by_name(algorithm).sign(message, key))
