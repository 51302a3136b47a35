"""Contracts of `chatrack.testing`, run as an author runs them: in a new process, outside of this repository."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_LIMIT = 600

_SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
filterwarnings =
    error
    ignore:Direct usage of named widget classes is deprecated:DeprecationWarning
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
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *names],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout[-5000:] + done.stderr
    return ContractRun(done.stdout)
