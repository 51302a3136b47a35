"""`POST /chatkit/api/upload` and `/chatkit/api/upload/{id}`: the bytes of files, streamed to the file store."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from chatrack.errors import BadRequest, UnsupportedMediaType
from chatrack.files.files import Files
from chatrack.http.auth_guard import DOMAIN_KEY, PUBLIC, address_of
from chatrack.http.problems import request_id
from chatrack.interfaces import Access, RequestContext, User
from chatrack.interfaces.records import dump

FIELD = "file"
"""The name of the field of a form that has the file."""

_MAX_FIELDS = 8

_SLACK = 1024 * 1024
"""Bytes that a field may have beyond the largest file: a file that is too large is refused before, and as what it is."""


def upload_routes(files: Files, path: str, max_size: int) -> list[HTTPRouteHandler]:
    """Return the two route handlers.

    Args:
        files: takes the files.
        path: the path of the ChatKit API.
        max_size: the largest file, in bytes.
    """

    @post(f"{path}/upload", status_code=200, opt={DOMAIN_KEY: True}, request_max_body_size=None)
    async def upload(request: Request[Any, Any, Any]) -> ASGIResponse:
        access: Access = request.scope["auth"]
        context = _context(request, access.user)
        async with aclosing(_read_form(request, max_size)) as form:
            segment = await anext(form)
            assert isinstance(segment, MultipartSegment)
            attachment = await files.upload(
                _bytes_of(form),
                name=segment.filename or "",
                declared=segment.content_type or "",
                context=context,
            )
        body = dump(files.with_url(attachment, access.user)).encode()
        return ASGIResponse(body=body, status_code=200, media_type="application/json")

    @route(
        f"{path}/upload/{{file_id:str}}",
        http_method=["PUT", "POST"],
        status_code=200,
        opt={PUBLIC: True},
        request_max_body_size=None,
    )
    async def receive(request: Request[Any, Any, Any], file_id: FromPath[str]) -> ASGIResponse:
        user, _ = files.links.check("upload", file_id, request.query_params)
        context = _context(request, user)
        if _media_type(request) == "multipart/form-data":
            async with aclosing(_read_form(request, max_size)) as form:
                await anext(form)
                await files.receive(file_id, _bytes_of(form), context)
        else:
            async with aclosing(_read_raw(request)) as chunks:
                await files.receive(file_id, chunks, context)
        return ASGIResponse(body=b"{}", status_code=200, media_type="application/json")

    return [upload, receive]


async def _read_raw(request: Request[Any, Any, Any]) -> AsyncGenerator[bytes]:
    """Yield the body as it arrives.

    Raises:
        BadRequest: the client disconnected before its end.
    """
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The request ended before its body did.")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


async def _read_form(
    request: Request[Any, Any, Any], max_size: int
) -> AsyncGenerator[MultipartSegment | bytes]:
    """Yield the field of a form that has the file, and then its bytes as they arrive.

    Raises:
        BadRequest: the form is malformed, ends too early, or has no such field.
        UnsupportedMediaType: the body is no form.
    """
    # docs/upstream.md: spooled-forms
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() != "multipart/form-data" or not options.get("boundary"):
        raise UnsupportedMediaType("The body must be sent as multipart/form-data.")
    found = is_open = False
    try:
        with PushMultipartParser(
            options["boundary"],
            max_segment_count=_MAX_FIELDS,
            max_segment_size=max_size + _SLACK,
            strict=True,
        ) as parser:
            async with aclosing(_read_raw(request)) as body:
                async for chunk in body:
                    for event in parser.parse(chunk):
                        if isinstance(event, MultipartSegment):
                            is_open = event.name == FIELD and not found
                            if is_open:
                                found = True
                                yield event
                        elif is_open and event:
                            yield bytes(event)
    except MultipartError as error:
        raise BadRequest("The form is malformed, or not complete.") from error
    if not found:
        raise BadRequest(f'The form has no field "{FIELD}".', field=FIELD)


async def _bytes_of(form: AsyncGenerator[MultipartSegment | bytes]) -> AsyncGenerator[bytes]:
    async for part in form:
        if isinstance(part, bytes):
            yield part


def _media_type(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _context(request: Request[Any, Any, Any], user: User) -> RequestContext:
    return RequestContext(user=user, request_id=request_id(request), address=address_of(request))
