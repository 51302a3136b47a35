"""What is installed is found, and the metadata of everything is read once."""

import importlib.metadata
import sys

import pytest

from chatrack.entry_points import entry_points, forget


def install(folder, distribution, version, group="chatrack"):
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nthing = {distribution}:Plugin\n")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders, before everything else on the path."""
    made = [tmp_path / "first", tmp_path / "second"]
    for folder in made:
        folder.mkdir()
    monkeypatch.setattr(sys, "path", [*map(str, made), *sys.path])
    yield made
    forget()


def versions_of(name):
    return [point.dist.version for point in entry_points("chatrack") if point.name == name]


def test_all_that_python_finds_is_found():
    for group in ("chatrack", "chatrack.sql_backends"):
        expected = {(point.name, point.value) for point in importlib.metadata.entry_points(group=group)}
        assert {(point.name, point.value) for point in entry_points(group)} == expected
        assert expected


def test_a_group_is_not_taken_for_another_that_begins_like_it(folders):
    install(folders[0], "fake-thing", "1.0", "chatrack.things")
    assert versions_of("thing") == []
    assert [point.dist.name for point in entry_points("chatrack.things")] == ["fake-thing"]


def test_of_a_distribution_that_is_installed_twice_the_one_that_is_imported_counts(folders):
    install(folders[1], "Fake_Thing", "1.0")
    install(folders[0], "fake-thing", "2.0")
    assert versions_of("thing") == ["2.0"]


def test_what_is_installed_later_is_found(folders):
    assert versions_of("thing") == []
    install(folders[0], "fake-thing", "1.0")
    importlib.invalidate_caches()
    forget()
    assert versions_of("thing") == ["1.0"]


def test_the_metadata_of_what_is_installed_is_read_once(folders, monkeypatch):
    entry_points("chatrack")
    monkeypatch.setattr(importlib.metadata.PathDistribution, "read_text", None)
    assert entry_points("chatrack")
    assert entry_points("chatrack.sql_backends")
