"""Keys of plugins."""

from collections.abc import Callable, Sequence


class DeriveKey:
    """Derives a plugin's keys from `[server] secret_key`, with HKDF-SHA256.

    All processes with the same `secret_key` derive the same keys; keys of other plugins and purposes tell nothing
    about them. While `secret_key` is being replaced, it is a list: the first secret makes new signatures, and all of
    them verify. ::

        def authenticators(self, derive_key):
            return [Signed(sign_with=derive_key("ticket"), verify_with=derive_key.all("ticket"))]

    Args:
        secrets: returns the secrets, the first one first.
        plugin: the name of the plugin.
    """

    def __init__(self, secrets: Callable[[], Sequence[bytes]], plugin: str) -> None:
        self._secrets = secrets
        self._plugin = plugin

    def __call__(self, purpose: str) -> bytes:
        """Return the key for a purpose, 32 bytes long."""
        return self.all(purpose)[0]

    def all(self, purpose: str) -> list[bytes]:
        """Return the keys for a purpose of all secrets; the first one is what calling `derive_key` returns."""
        from cryptography.hazmat.primitives.hashes import SHA256  # late: most plugins need no key
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = f"chatrack:{self._plugin}:{purpose}".encode()
        return [
            HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
            for secret in self._secrets()
        ]
