"""What pytest loads wherever Chatrack is installed. It imports nothing of it: most test runs never need it."""

import pytest

pytest.register_assert_rewrite("chatrack.testing")
