"""The contract of a provider of models."""
