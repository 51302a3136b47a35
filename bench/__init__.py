"""Benchmarks of the server against the stock stack; the model is the fake OpenAI of the tests."""
