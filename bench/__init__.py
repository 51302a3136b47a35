"""Benchmarks of the server against the stock stack, and the fake upstream they and the tests use."""
