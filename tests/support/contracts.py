"""Contracts of `chatrack.testing`, run as an author runs them: with pytest, outside of this repository.

The process is forked from one that has imported anyio and chatrack, and not `chatrack.testing`.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.forked import Forked

_LIMIT = 600

_SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
filterwarnings =
    error
    ignore:Direct usage of named widget classes is deprecated:DeprecationWarning
    ignore:Module already imported so cannot be rewritten. anyio:pytest.PytestAssertRewriteWarning
"""


class ContractRun:
    """The results of a test file.

    Args:
        output: what pytest printed.
    """

    def __init__(self, output: str) -> None:
        self.output = output

    def names(self, result: str, class_name: str) -> set[str]:
        """Return the tests of a class with a result: `PASSED`, `FAILED`, `ERROR` or `SKIPPED`."""
        found = re.findall(rf"^{result} .*?::{class_name}::(.+?)(?: - .*)?$", self.output, re.MULTILINE)
        return set(found)


def run_contract(folder: Path, source: str, chosen: Iterable[str] = ()) -> ContractRun:
    """Run a test file.

    Args:
        folder: where it and its settings are written.
        source: the text of the file.
        chosen: the tests that are run, as `Class::test` or `Class`; all of them by default.
    """
    path = folder / "test_mine.py"
    path.write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text(_SETTINGS, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    options = ["-q", "-rA", "--tb=short", "--show-capture=no", "-p", "no:cacheprovider"]
    names = [f"{path.name}::{name}" for name in chosen]
    log = folder / "log"
    process = Forked([sys.executable, "-m", "pytest", *options, *names], cwd=folder, env=environment, log=log)
    code = process.wait(_LIMIT)
    if code is None:
        process.kill()
    output = log.read_text(encoding="utf-8")
    assert code in {0, 1}, output[-5000:]
    return ContractRun(output)
