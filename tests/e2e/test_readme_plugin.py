"""The plugin of the README, written, installed, enabled and removed again as a reader would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_process
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of
from tests.support.waiting import PROCESS_LIMIT

ROOT = Path(__file__).parents[2]
UV = next((path for path in (ROOT / ".uv/bin/uv", shutil.which("uv")) if path and Path(path).exists()), None)

UNREACHABLE = "error sending request for url"
"""What uv says of a package index that it cannot reach."""

CONFIG = """
enabled = ["sqlite_store", "demo_provider"{more}]
[server]
port = 0
[chat]
model = "demo"
"""


def sample(name: str) -> str:
    """Return the README's sample whose first line is a comment with this file name."""
    blocks = re.findall(
        r"^```\w+\n(# .+?\n.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return next(block for block in blocks if block.startswith(f"# {name}\n"))


def install(source: Path, target: Path) -> None:
    """Install a project with uv into a folder; skip the test if uv cannot reach the package index.

    The index is asked for what the project is built with.
    """
    command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    done = subprocess.run(
        [*command, "--target", str(target), str(source)],
        env={**os.environ, "UV_HTTP_RETRIES": "1"},
        capture_output=True,
        text=True,
        timeout=PROCESS_LIMIT,
        check=False,
    )
    if done.returncode and UNREACHABLE in done.stderr:
        pytest.skip(f"uv cannot reach the package index: {done.stderr.splitlines()[-1].strip()}")
    assert done.returncode == 0, done.stderr


@only_sqlite("the plugin has no tables")
@pytest.mark.skipif(UV is None, reason="uv is not here; `make test` brings it")
async def test_the_readmes_plugin_is_installed_with_uv_listed_enabled_and_removed(tmp_path, started):
    source, site = tmp_path / "dice", tmp_path / "site"
    source.mkdir()
    for name in ("dice.py", "pyproject.toml"):
        (source / name).write_text(sample(name))
    install(source, site)  # into a folder of the test's own: the tests' environment stays as it is
    config = tmp_path / "config.toml"
    found = {"PYTHONPATH": str(site)}

    def chatrack(*words: str) -> str:
        done = run_process(*words, cwd=tmp_path, env=found)
        assert (done.code, done.err) == (0, "")
        return done.out

    def row(name: str) -> str:
        return next(line for line in chatrack("plugins").splitlines() if line.startswith(name))

    config.write_text(CONFIG.format(more=""))
    assert row("dice").split() == ["dice", "installed", "chatrack-dice", "0.1.0"]
    config.write_text(CONFIG.format(more=', "dice"'))
    assert row("dice").split() == ["dice", "enabled", "chatrack-dice", "0.1.0", "1", "tools"]
    assert "dice.roll_dice" in chatrack("check")
    server = await started.serve(config, environ=found)
    async with server.chat() as chat:
        _, events = await chat.create("roll dice")
    assert "It shows " in answer_of(events)
    assert await server.stop() == 0
    server.assert_clean()
    shutil.rmtree(site)
    config.write_text(CONFIG.format(more=""))
    assert "dice" not in chatrack("plugins")
