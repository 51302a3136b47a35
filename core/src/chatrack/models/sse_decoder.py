"""Decoding of server-sent events as model providers send them."""

MAX_EVENT_SIZE = 32 * 2**20
"""Bytes of the largest event that is accepted; generated images arrive as base64."""


class SSEDecoder:
    """Extracts the data of the events of one stream.

    Accepts all three line endings, and skips comments, other fields and events without data. Bytes are not decoded
    to text, so that a character may be split between two chunks.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """The chunks of an event that is not complete yet."""
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that a chunk completes.

        Args:
            chunk: the next bytes of the stream.

        Raises:
            ValueError: an event is larger than `MAX_EVENT_SIZE`.
        """
        if self._parts:
            if b"\n" not in chunk and b"\r" not in chunk:  # the middle of a large event
                return self._buffer(chunk)
            chunk = b"".join((*self._parts, chunk))
            self._parts, self._size = [], 0
        trailing = b""
        if b"\r" in chunk:
            if chunk.endswith(b"\r"):  # the first half of "\r\n", perhaps
                chunk, trailing = chunk[:-1], b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        frames = chunk.split(b"\n\n")
        if rest := frames.pop() + trailing:
            self._buffer(rest)
        found = []
        for frame in frames:
            start = frame.find(b"\n") + 1 if frame.startswith(b"event:") else 0
            if frame.startswith(b"data: ", start) and frame.find(b"\n", start) < 0:
                found.append(frame[start + 6 :])  # a single line of data, as nearly all events have
            elif data := _data_of(frame):
                found.append(data)
        return found

    def end(self) -> list[bytes]:
        """Return the data after the last blank line; some servers leave out the blank line at the end."""
        data = _data_of(b"".join(self._parts).replace(b"\r", b"\n"))
        return [data] if data else []

    def _buffer(self, part: bytes) -> list[bytes]:
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_EVENT_SIZE:
            raise ValueError(f"an event is larger than {MAX_EVENT_SIZE} bytes")
        return []


def _data_of(frame: bytes) -> bytes:
    lines = [line[5:].removeprefix(b" ") for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
