"""Limits: how much users and addresses may ask for."""

from chatrack.limits.limits import Limits
from chatrack.limits.tokens import TokenBudget

__all__ = ["Limits", "TokenBudget"]
