"""``python -m tests.fake_openai --port N``: serve until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal

import uvloop

from tests.fake_openai.server import serve


async def _run(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(port) as serving:
        print(f"listening on {serving.url.removesuffix('/v1')}", flush=True)  # noqa: T201  (its parent waits for this line)
        await stop.wait()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_openai", description="A fake OpenAI upstream."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(parser.parse_args().port))


if __name__ == "__main__":
    main()
