"""``python -m tests.chaos``: kill servers while clients talk to them, and check that nothing is lost."""

import argparse
import asyncio
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import click

from bench.databases import PLUGINS, SERVERS, missing
from tests.chaos.run import Options, run

_OPEN_FILES = 8192
_SHOWN = 60
"""Lines of evidence that are printed."""


def _arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="(default: any)")
    for name in ("seconds", "clients", "servers", "every", "lease"):
        default = getattr(Options, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help="(default: %(default)s)")
    parser.add_argument(
        "--store", choices=PLUGINS.values(), default=Options.store, help="(default: %(default)s)"
    )
    return Options(**vars(parser.parse_args()))


def main() -> int:
    """Run and print a summary; return 1 if something was lost, 2 if there is no database."""
    options = _arguments()
    reason = missing(options.kind)
    if reason is not None:
        where = SERVERS[options.kind].render_as_string(hide_password=True)
        click.echo(f"chaos: {options.kind} does not answer at {where}: {reason}", err=True)
        return 2
    click.echo(f"chaos: seed {options.seed}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_OPEN_FILES, hard)), hard))
    folder = Path(tempfile.mkdtemp(prefix="chatrack-chaos-"))
    report = asyncio.run(run(options, folder))
    click.echo(report.summary)
    if report.passed:
        shutil.rmtree(folder)
        click.echo("passed")
        return 0
    click.echo("\n".join(report.evidence.splitlines()[:_SHOWN]))
    return 1


if __name__ == "__main__":
    sys.exit(main())
