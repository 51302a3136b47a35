"""Fixtures of the tests of LiteLLM's proxy."""

from tests.support.litellm import litellm

__all__ = ["litellm"]
