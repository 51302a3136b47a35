"""A short run of `make chaos`."""

import pytest

from tests.chaos.run import Options, run
from tests.support.databases import require


@pytest.mark.long
async def test_nothing_is_lost_when_servers_are_killed_while_clients_talk(tmp_path):
    require("postgresql")
    options = Options(
        seed=1,
        seconds=12,
        clients=8,
        servers=2,
        every=5,
        lease=15,
        longest=12,
        margin=60,  # nothing here depends on how fast the machine is
        loss=12,
        settled=60,
        fresh=False,
        keep=False,
    )
    report = await run(options, tmp_path)
    assert report.passed, f"{report.summary}\n{report.evidence}"
