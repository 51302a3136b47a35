"""Entry points of Chatrack's own groups, among those of everything that is installed."""

import functools
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, distribution, distributions
from pathlib import Path

_FILE = "entry_points.txt"


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group.

    Args:
        group: `chatrack`, or a name that begins with `chatrack.`.
    """
    return [point for point in _scan(_path_state()) if point.group == group]


def _path_state() -> tuple[tuple[str, int], ...]:
    """Return the folders of `sys.path`, and when something was last installed in each."""
    state = []
    for folder in sys.path:
        try:
            state.append((folder, Path(folder).stat().st_mtime_ns))
        except OSError:
            continue
    return tuple(state)


# `importlib.metadata.entry_points` parses those of all distributions: most of the time of a short command.
@functools.lru_cache(maxsize=1)
def _scan(_path: tuple[tuple[str, int], ...]) -> Sequence[EntryPoint]:
    points: list[EntryPoint] = []
    for installed in distributions():
        text = installed.read_text(_FILE)
        if text is None or "[chatrack" not in text:
            continue
        # If a distribution is on the path twice, the first one is imported.
        if distribution(installed.name).locate_file("") == installed.locate_file(""):
            points += installed.entry_points
    return points


def forget() -> None:
    """Forget what was found, for tests that install something twice within the resolution of a file system's times."""
    _scan.cache_clear()
