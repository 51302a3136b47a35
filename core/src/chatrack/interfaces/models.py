"""Models, as the Agents SDK knows them; plugins take these names from `chatrack`."""

from agents import Model, ModelProvider

__all__ = ["Model", "ModelProvider"]
