"""Contract tests for plugins: inherit from `StoreContract`, `FileStoreContract` or `ProviderContract` and define its fixtures."""

try:
    import pytest  # noqa: F401  (imported here to tell its absence from other errors)
    import pytest_asyncio  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"chatrack.testing needs {error.name}; install `chatrack[testing]`, which brings it", name=error.name
    ) from error

from chatrack.testing.contract import StoreContract
from chatrack.testing.files import FileStoreContract
from chatrack.testing.provider.contract import ProviderContract
from chatrack.testing.provider.script import ProviderScript, RefusedModel

__all__ = ["FileStoreContract", "ProviderContract", "ProviderScript", "RefusedModel", "StoreContract"]
