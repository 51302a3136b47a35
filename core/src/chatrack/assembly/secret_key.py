"""`[server] secret_key`, and the file that keeps a generated one."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chatrack.errors import ConfigError
from chatrack.settings import Secret

SECRET_KEY_FILE = Path("data/secret_key")
"""Where a generated key is kept, relative to config.toml."""

_GENERATED_BYTES = 32


class SecretKey(msgspec.Struct):
    """The secrets that the keys of plugins are derived from. A key is generated when it is first needed.

    Args:
        configured: `[server] secret_key`.
        file: where a generated key is kept.
        create: whether a generated key is written to the file. If not, it is lost when the process ends.
    """

    configured: Sequence[Secret]
    file: Path
    create: bool
    _generated: Secret | None = None

    def secrets(self) -> list[bytes]:
        """Return the secrets; the first one signs, and all of them verify.

        Raises:
            ConfigError: the file cannot be read or written, or is not one that this class has written.
        """
        if self.configured:
            return [secret.reveal().encode() for secret in self.configured]
        if self._generated is None:
            self._generated = Secret(self._load())
        return [self._generated.reveal().encode()]

    def _load(self) -> str:
        try:
            if not self.file.exists():
                key = secrets.token_hex(_GENERATED_BYTES)
                if not self.create:
                    return key
                self._write(key)
            # Another process may have written its own at the same moment: what is in the file counts.
            text = self.file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a key"
            raise ConfigError(
                f"server.secret_key: not set, and {self.file} cannot be used instead: {reason}"
            ) from error
        if len(text) < 2 * _GENERATED_BYTES:
            raise ConfigError(
                f"server.secret_key: not set, and {self.file} is too short to be a key; delete it to get a new one"
            )
        return text

    def _write(self, key: str) -> None:
        """Write the file whole or not at all, unless it exists."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f"{self.file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(f"{key}\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, self.file)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
