"""Comments that are sent while a stream is silent."""

import pytest

from tests.support.client import events_in, words
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of, errors_of, message

pytestmark = only_sqlite("heartbeats are between the server and the client")


async def lines_of(chat, provider):
    """Read a stream whose model is held back until there were three comments."""
    body = {"type": "threads.create", "params": {"input": message("hello")}}
    async with chat.http.stream("POST", chat.path, json=body) as response:
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in response.headers
        lines = []
        async for line in response.aiter_lines():
            lines.append(line)
            if line.startswith(":") and sum(line.startswith(":") for line in lines) == 3:
                await provider.release()
        return lines


@pytest.mark.parametrize("model", ["fake-h0", "fake-h2"], ids=["before the answer", "within the answer"])
async def test_comments_are_sent_during_silence(started, configure, provider, model, api):
    server = await started.serve(configure(model=model, tools="[]", api=api, server="heartbeat = 0.2"))
    async with server.chat() as chat:
        lines = await lines_of(chat, provider)
    beats = [number for number, line in enumerate(lines) if line.startswith(":")]
    assert len(beats) >= 3
    assert all(lines[number + 1] == "" for number in beats)  # a block of its own
    assert all(line == "" or line.startswith((":", "data: ")) for line in lines)
    # all of them between the first event and the last
    data = [number for number, line in enumerate(lines) if line.startswith("data: ")]
    assert data[0] < beats[0]
    assert beats[-1] < data[-1]
    events = events_in("\n".join(lines))
    assert not errors_of(events)
    assert answer_of(events) == words(8)
    assert await server.stop() == 0
    server.assert_clean()
