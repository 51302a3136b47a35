"""Server-sent events as model providers write them, cut out of a stream of bytes."""

LARGEST = 32 * 2**20
"""So many bytes one event may have: pictures come as base64."""


class SSEDecoder:
    """Cuts the data out of the events of one stream.

    Line ends of all three kinds, comments, fields without meaning and events without data are taken in passing.
    Bytes are not decoded here, so that a character may be spread over two chunks.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """What has come of an event that is not complete."""
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Give the data of all events that a chunk completes.

        Args:
            chunk: the next bytes.

        Raises:
            ValueError: there is an event without end.
        """
        if self._parts:
            if b"\n" not in chunk and b"\r" not in chunk:  # the middle of something large
                return self._keep(chunk)
            chunk = b"".join((*self._parts, chunk))
            self._parts, self._size = [], 0
        held_back = b""
        if b"\r" in chunk:
            if chunk.endswith(b"\r"):  # half of a line end, perhaps
                chunk, held_back = chunk[:-1], b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        frames = chunk.split(b"\n\n")
        if rest := frames.pop() + held_back:
            self._keep(rest)
        found = []
        for frame in frames:
            start = frame.find(b"\n") + 1 if frame.startswith(b"event:") else 0
            if frame.startswith(b"data: ", start) and frame.find(b"\n", start) < 0:
                found.append(frame[start + 6 :])  # nearly all of them
            elif data := _data_of(frame):
                found.append(data)
        return found

    def end(self) -> list[bytes]:
        """Give what came after the last blank line: some servers leave out the one at the end."""
        data = _data_of(b"".join(self._parts).replace(b"\r", b"\n"))
        return [data] if data else []

    def _keep(self, part: bytes) -> list[bytes]:
        self._parts.append(part)
        self._size += len(part)
        if self._size > LARGEST:
            raise ValueError("an event without end")
        return []


def _data_of(frame: bytes) -> bytes:
    lines = [line[5:].removeprefix(b" ") for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
