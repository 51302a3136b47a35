"""Printing the operator's mistakes."""

import traceback

import click

from chatrack.errors import StartupError


def report(error: StartupError, *, verbose: bool) -> None:
    """Print one line to stderr for each mistake.

    Args:
        error: the mistakes.
        verbose: print the traceback first.
    """
    if verbose:
        print_traceback(error)
    for line in error.lines:
        click.echo(f"chatrack: {line}", err=True)


def print_traceback(error: StartupError) -> None:
    """Print an error's traceback to stderr, with those of its causes."""
    click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
