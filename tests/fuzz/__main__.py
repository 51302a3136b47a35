"""``python -m tests.fuzz``: send a server requests of every kind, sound and mutated, and check that none breaks it."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tests.fuzz.run import Options, run
from tests.fuzz.schema import run_schemathesis


def main() -> int:
    """Run and print a summary; return 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="(default: any)")
    parser.add_argument("--requests", type=int, default=Options.requests, help="(default: %(default)s)")
    parser.add_argument(
        "--examples",
        type=int,
        default=100,
        help="of schemathesis, for each route; 0 for none (default: %(default)s)",
    )
    arguments = parser.parse_args()
    click.echo(f"fuzz: seed {arguments.seed}")
    folder = Path(tempfile.mkdtemp(prefix="chatrack-fuzz-"))
    report = run(Options(requests=arguments.requests, seed=arguments.seed), folder)
    click.echo(report.summary)
    click.echo("\n".join(report.failures[:20]))
    passed = not report.failures
    if arguments.examples:
        failures = run_schemathesis(folder, arguments.seed, arguments.examples)
        click.echo("\n".join(failures))
        passed = passed and not failures
    if passed:
        shutil.rmtree(folder)
        click.echo("passed")
        return 0
    click.echo(f"the server's log is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
