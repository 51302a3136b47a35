"""An issuer that publishes its keys (JWKS) over HTTP on a loopback port."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import jwt

from tests.support.tokens import claims, private_key, token


def public_jwk(private: Any, algorithm: str, **changes: Any) -> dict[str, Any]:
    """Return the public key of a private key as a member of a set.

    Args:
        private: the private key.
        algorithm: what it signs with; it is stated as `alg`.
        changes: other members, such as `kid`; a change to None leaves a member out.
    """
    jwk = _to_dict(private.public_key(), algorithm)
    values = {**jwk, "alg": algorithm, "use": "sig", **changes}
    return {name: value for name, value in values.items() if value is not None}


def private_jwk(private: Any, algorithm: str, **changes: Any) -> dict[str, Any]:
    """Return a private key as a member of a set, where it should never be."""
    return {**_to_dict(private, algorithm), "alg": algorithm, **changes}


def _to_dict(key: Any, algorithm: str) -> dict[str, Any]:
    written: Any = jwt.get_algorithm_by_name(algorithm).to_jwk(key)
    return dict(json.loads(written) if isinstance(written, str) else written)


class Issuer:
    """Publishes a set of keys and signs tokens with them."""

    def __init__(self) -> None:
        self.loads = 0
        """How often the set was asked for."""
        self.answer: bytes | None = None
        """The whole HTTP response, if it is not the set."""
        self.keys: list[dict[str, Any]] = []
        """The published set."""
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where the set is."""
        return f"http://127.0.0.1:{self._port}/jwks"

    def publish(self, *key_ids: str, algorithm: str = "ES256") -> None:
        """Publish keys with these ids in place of the old ones."""
        self.keys = [public_jwk(private_key(algorithm, key_id), algorithm, kid=key_id) for key_id in key_ids]

    def sign(self, key_id: str, algorithm: str = "ES256", **changes: Any) -> str:
        """Return a valid token, signed with the key of that id; the claims are changed."""
        return token(claims(**changes), private_key(algorithm, key_id), algorithm, kid=key_id)

    def hold(self) -> None:
        """Do not answer until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Answer what was asked, and what will be."""
        self._open.set()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.loads += 1
            gone = asyncio.ensure_future(reader.read())
            opened = asyncio.ensure_future(self._open.wait())
            await asyncio.wait((gone, opened), return_when=asyncio.FIRST_COMPLETED)
            writer.write(self.answer if self.answer is not None and "/jwks " in head else self._set())
            await writer.drain()
            for task in (gone, opened):
                task.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _set(self) -> bytes:
        return http_answer(json.dumps({"keys": self.keys}).encode())


def http_answer(body: bytes, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """Return an HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run an issuer that publishes the keys `one` and `two`."""
    issuer = Issuer()
    issuer.publish("one", "two")
    await issuer.start()
    try:
        yield issuer
    finally:
        issuer.release()
        await issuer.stop()
