"""Tests for what plugins give: inherit from `StoreContract` or `ProviderContract`, and make the fixtures it asks for."""

try:
    import pytest  # noqa: F401  (asked for here, so that its absence is told apart from other mistakes)
    import pytest_asyncio  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"chatrack.testing needs {error.name}; install `chatrack[testing]`, which brings it", name=error.name
    ) from error

from chatrack.testing.contract import StoreContract
from chatrack.testing.provider.contract import ProviderContract
from chatrack.testing.provider.script import ProviderScript, RefusedModel

__all__ = ["ProviderContract", "ProviderScript", "RefusedModel", "StoreContract"]
