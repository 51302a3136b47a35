"""`GET /chatkit/api/files/{id}`: a file, by its signed URL."""

import re
from contextlib import aclosing
from typing import Any

from litestar import Request, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from chatrack.files.files import Files
from chatrack.files.names import content_disposition
from chatrack.files.types import is_safe_inline
from chatrack.http.auth_guard import PUBLIC, address_of
from chatrack.http.problems import request_id
from chatrack.interfaces import RequestContext

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

_HEADERS = {
    "access-control-allow-origin": "*",  # the URL is the credential
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "accept-ranges": "bytes",
}


def download_route(files: Files, path: str) -> HTTPRouteHandler:
    """Return the route handler.

    Args:
        files: has the files.
        path: the path of the ChatKit API.
    """

    @route(f"{path}/files/{{file_id:str}}", http_method=["GET", "HEAD"], status_code=200, opt={PUBLIC: True})
    async def download(request: Request[Any, Any, Any], file_id: FromPath[str]) -> ASGIApp:
        user, left = files.links.check("files", file_id, request.query_params)
        context = RequestContext(user=user, request_id=request_id(request), address=address_of(request))
        attachment = await files.ready(file_id, context)
        headers = {**_HEADERS, "cache-control": f"private, max-age={left}, immutable"}
        url = await files.redirect_url(file_id, expires_in=left)
        if url is not None:
            headers |= {"location": url, "cache-control": "no-store"}
            return ASGIResponse(body=b"", status_code=307, headers=headers)
        size = (await files.stat(file_id)).size
        inline = is_safe_inline(attachment.mime_type)
        headers |= {
            "content-type": attachment.mime_type if inline else "application/octet-stream",
            "content-disposition": content_disposition(attachment.name, inline=inline),
            "etag": f'"{file_id}"',  # the bytes of a file never change
        }
        if request.headers.get("if-none-match", "") in {headers["etag"], "*"}:
            return ASGIResponse(body=b"", status_code=304, headers=headers)
        is_head = request.method == "HEAD"
        wanted = _range_of(request, size, headers["etag"])
        if wanted is None:
            return _FileResponse(files, file_id, 200, headers, 0, size, is_head=is_head)
        start, end = wanted
        if start >= end:
            headers["content-range"] = f"bytes */{size}"
            return ASGIResponse(body=b"", status_code=416, headers=headers)
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        return _FileResponse(files, file_id, 206, headers, start, end, is_head=is_head)

    return download


def _range_of(request: Request[Any, Any, Any], size: int, etag: str) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last one that a request asks for; None if it asks for all.

    Several ranges are answered with the whole file, as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or match.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


class _FileResponse:
    """An ASGI response: a part of a file, as it is read."""

    def __init__(
        self,
        files: Files,
        file_id: str,
        status: int,
        headers: dict[str, str],
        start: int,
        end: int,
        *,
        is_head: bool,
    ) -> None:
        self.files = files
        self.file_id = file_id
        self.status = status
        self.headers = {**headers, "content-length": str(end - start)}
        self.start = start
        self.end = end
        self.is_head = is_head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.files.read(self.file_id, start=self.start, end=self.end)) as chunks:
            # What cannot be read at all still gets a proper error.
            chunk = b"" if self.is_head else await anext(chunks, b"")
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status,
                    "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
                }
            )
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await anext(chunks, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})
