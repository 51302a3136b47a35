"""Fixtures of the tests of `mysql_store`."""

import pytest

from tests.support.server_stores import configure, started, store_url

__all__ = ["configure", "started", "store_url"]


@pytest.fixture
def kind() -> str:
    """The kind of the database."""
    return "mysql"
