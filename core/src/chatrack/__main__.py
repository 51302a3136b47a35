"""`python -m chatrack`."""

from chatrack.cli import main

main()
