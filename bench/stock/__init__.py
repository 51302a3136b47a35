"""The stock stack: FastAPI and the quickstart of openai-chatkit, as the baseline of the benchmarks."""
