"""The command line of Chatrack."""

from chatrack.cli.main import main

__all__ = ["main"]
