"""The pytest plugin that comes with Chatrack. It imports nothing of Chatrack, because most test runs do not need it."""

import pytest

pytest.register_assert_rewrite("chatrack.testing")
