"""The contract of model providers."""
