"""Gemini's models for Chatrack."""

from chatrack_gemini_provider.plugin import GeminiProviderPlugin

__all__ = ["GeminiProviderPlugin"]
