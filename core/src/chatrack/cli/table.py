"""Printing of tables."""

from collections.abc import Sequence

import click


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below headings; each column is as wide as its longest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
