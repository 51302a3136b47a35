"""Decodes images and PDFs of users, in processes that may hang or crash."""

import asyncio
import contextlib
import json
import math
import os
import subprocess  # nosec B404  # it runs this Python
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from chatrack.errors import ChatrackError
from chatrack.files.sniffing import sniff

DEFAULT_MAX_SIDE = 2048
DEFAULT_MAX_BYTES = 3 * 1024 * 1024
"""What is four megabytes in base64; the strictest API takes five."""

_PROGRAM = Path(__file__).with_name("decoder_process.py")

_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""The variables without which Python may not start. The process gets no other: they hold secrets."""

_HEADER = 4096
"""The most bytes of an answer besides the image or the text."""


class Undecodable(ChatrackError):
    """A file cannot be decoded: it is broken, not what it claims to be, or takes too much to decode.

    Args:
        reason: what happened, for the log. It may quote the file.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image for a model.

    Args:
        data: the bytes.
        mime_type: `image/png` or `image/jpeg`.
        width: in pixels.
        height: in pixels.
    """

    data: bytes
    mime_type: str
    width: int
    height: int


class _Header(msgspec.Struct, frozen=True):
    """The first line of an answer."""

    size: int = 0
    reason: str | None = None
    mime_type: str = ""
    width: int = 0
    height: int = 0


class Decoder:
    """Decodes images and PDFs, each in a process of its own. It belongs to one event loop.

    What fails, crashes, takes too long, or takes too much memory raises `Undecodable`. If the caller is cancelled, the process is
    killed before the cancellation goes on. Callers beyond `processes` wait, and their time does not run meanwhile.

    Args:
        timeout: the seconds that a file may take.
        max_memory: the bytes of address space that it may take, where the platform can bound that.
        processes: how many files are decoded at the same time.
    """

    def __init__(
        self, *, timeout: float = 20.0, max_memory: int = 512 * 1024 * 1024, processes: int = 2
    ) -> None:
        self._timeout = timeout
        self._max_memory = max_memory
        self._free = asyncio.Semaphore(processes)
        # Not the loop's own threads: those are for what takes milliseconds.
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="decoder")

    async def shrink_image(
        self, data: bytes, *, max_side: int = DEFAULT_MAX_SIDE, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> Image:
        """Return a copy of an image that a model can be given: upright, of bounded size, and without metadata.

        It is a PNG if it is transparent anywhere, else a JPEG. Of animations it is the first picture. Colors of a profile are
        taken as sRGB.

        Args:
            data: a PNG, JPEG, GIF, WebP, AVIF or BMP.
            max_side: the longest side of the copy, in pixels.
            max_bytes: the size of the copy, in bytes. If it must be, it gets smaller than `max_side`.

        Raises:
            Undecodable: there is no such image.
        """
        header, payload = await self._run(
            "shrink_image", data, max_bytes, max_side=max_side, max_bytes=max_bytes
        )
        if (
            header.mime_type not in {"image/png", "image/jpeg"}
            or sniff(payload) != header.mime_type
            or not 0 < max(header.width, header.height) <= max_side
        ):
            raise Undecodable("the answer is no such image")
        return Image(data=payload, mime_type=header.mime_type, width=header.width, height=header.height)

    async def extract_text(self, pdf: bytes, *, max_chars: int) -> str:
        """Return the text of a PDF, its pages parted by an empty line; nothing if it has only pictures.

        Pages that cannot be read are left out, unless none can.

        Args:
            pdf: the PDF. One that is encrypted must need no password to be read.
            max_chars: where the text is cut.

        Raises:
            Undecodable: it cannot be read.
        """
        _, payload = await self._run("extract_text", pdf, 4 * max_chars, max_chars=max_chars)
        try:
            text = payload.decode()
        except UnicodeDecodeError as error:
            raise Undecodable("the answer is not UTF-8") from error
        return text[:max_chars]

    async def _run(
        self, operation: str, data: bytes, max_payload: int, **arguments: int
    ) -> tuple[_Header, bytes]:
        arguments["max_memory"] = self._max_memory
        arguments["max_cpu"] = math.ceil(self._timeout) + 1
        process = _Process(json.dumps({"operation": operation, **arguments}))
        async with self._free:
            work = asyncio.get_running_loop().run_in_executor(
                self._threads, process.run, data, max_payload + _HEADER
            )
            try:
                await asyncio.wait([work], timeout=self._timeout)
                in_time = work.done()
            finally:
                process.kill()
                await _ended(work)
        if not in_time:
            raise Undecodable(f"it takes longer than {self._timeout:g} s")
        try:
            code, answer = work.result()
        except OSError as error:
            raise Undecodable(f"its process cannot be started: {error}") from error
        return _parse(code, answer, max_payload)


async def _ended(work: "asyncio.Future[tuple[int, bytes]]") -> None:
    """Wait for a thread that is about to end, also while cancelled: until then there are a process and pipes."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    work.exception()  # seen, if nobody asks for the result
    if cancelled is not None:
        raise cancelled


def _parse(code: int, answer: bytes, max_payload: int) -> tuple[_Header, bytes]:
    """Return the parts of an answer, of which nothing is believed: it comes from where a hostile file has been read.

    Raises:
        Undecodable: there is none, or it says why the file could not be decoded.
    """
    if code < 0:
        raise Undecodable(f"its process was ended by signal {-code}")
    line, _, payload = answer.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"its process ended with exit code {code} and no answer") from error
    if header.reason is not None:
        raise Undecodable("".join(char if char.isprintable() else "?" for char in header.reason[:200]))
    if code or len(payload) != header.size or header.size > max_payload:
        raise Undecodable(f"its process ended with exit code {code} and half an answer")
    return header, payload


class _Process:
    """A process that decodes one file. `run` is called once, in a thread; `kill` at any time, in another.

    Args:
        arguments: its argument.
    """

    def __init__(self, arguments: str) -> None:
        self._command = [sys.executable, "-I", str(_PROGRAM), arguments]
        self._running: subprocess.Popen[bytes] | None = None
        self._killed = False

    def run(self, data: bytes, max_answer: int) -> tuple[int, bytes]:
        """Return the exit code, and what the process wrote.

        Args:
            data: what it reads.
            max_answer: the bytes that it may write; one that writes more is killed.

        Raises:
            OSError: it cannot be started.
        """
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with subprocess.Popen(  # noqa: S603  # nosec B603  # no shell; the arguments are our own
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a terminal's Ctrl-C is for the server, which lets its turns end
        ) as process:
            self._running = process
            if self._killed:  # before there was anything to kill
                process.kill()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(OSError):  # it has ended, and says why by its answer or its code
                    process.stdin.write(data)
                    process.stdin.close()
                answer = process.stdout.read(max_answer + 1)
                if len(answer) > max_answer:
                    process.kill()
            except BaseException:
                process.kill()
                raise
        return process.returncode, answer

    def kill(self) -> None:
        """End the process, now or as soon as it starts. If it has ended, nothing happens."""
        self._killed = True
        if self._running is not None:
            self._running.kill()
