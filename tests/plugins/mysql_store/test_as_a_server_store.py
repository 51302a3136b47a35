"""`mysql_store` does what every store over a database server has to do."""

from tests.support.server_stores import *  # noqa: F403
