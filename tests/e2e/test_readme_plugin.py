"""The plugin of the README, written, installed, enabled and removed again as a reader would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(UV is None, reason="uv is not here; `make test` brings it")
def test_the_readmes_plugin_is_installed_with_uv_listed_enabled_and_removed(tmp_path):
    source, site = tmp_path / "dice", tmp_path / "site"
    source.mkdir()
    for name in ("dice.py", "pyproject.toml"):
        (source / name).write_text(sample(name))
    install(source, site)  # into a folder of the test's own: the tests' environment stays as it is

    def chatrack(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("chatrack")), *words]
        environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PROCESS_LIMIT,
        )
        assert done.stderr == ""
        return done.stdout

    def row(name: str) -> str:
        return next(line for line in chatrack("plugins").splitlines() if line.startswith(name))

    (tmp_path / "config.toml").write_text(CONFIG.format(more=""))
    assert row("dice").split() == ["dice", "installed", "chatrack-dice", "0.1.0"]
    (tmp_path / "config.toml").write_text(CONFIG.format(more=', "dice"'))
    assert row("dice").split() == ["dice", "enabled", "chatrack-dice", "0.1.0", "1", "tools"]
    assert "dice.roll_dice" in chatrack("check")
    talk = f"""
import asyncio
from pathlib import Path
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.support.serving import serving, answer_of

async def main():
    async with serving(Path("config.toml")) as chat:
        _, events = await chat.create("roll dice")
        print(answer_of(events))

asyncio.run(main())
"""
    said = subprocess.run(
        [sys.executable, "-c", talk],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=PROCESS_LIMIT,
    ).stdout
    assert "It shows " in said
    shutil.rmtree(site)
    (tmp_path / "config.toml").write_text(CONFIG.format(more=""))
    assert "dice" not in chatrack("plugins")
