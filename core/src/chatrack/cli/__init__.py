"""The command `chatrack`."""

from chatrack.cli.main import main

__all__ = ["main"]
