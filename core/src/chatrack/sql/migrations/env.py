"""Alembic's entry point."""

from chatrack.sql import run_env

run_env()
