"""Tests for what plugins give: inherit from `StoreContract` and make the fixture that it asks for."""

try:
    import pytest  # noqa: F401  (asked for here, so that its absence is told apart from other mistakes)
    import pytest_asyncio  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"chatrack.testing needs {error.name}; install `chatrack[testing]`, which brings it", name=error.name
    ) from error

from chatrack.testing.contract import StoreContract

__all__ = ["StoreContract"]
