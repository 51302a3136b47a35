"""The transcription endpoint of the Audio API."""

from __future__ import annotations

from typing import Any

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

from tests.fake_openai.behaviour import Answer, Turn
from tests.fake_openai.checks import missing
from tests.fake_openai.model_name import Behaviour


def parse(raw: bytes, content_type: str) -> dict[str, Any] | None:
    """Return the fields of a form, a file as its name, type and size; None if the body is not a form."""
    form: dict[str, Any] = {}

    def on_field(field: Field) -> None:
        form[(field.field_name or b"").decode()] = (field.value or b"").decode()

    def on_file(file: File) -> None:
        form[(file.field_name or b"").decode()] = {
            "name": (file.file_name or b"").decode(),
            "type": file.content_type,
            "size": file.size,
        }
        file.close()

    try:
        parser = python_multipart.create_form_parser(
            {"Content-Type": content_type.encode("latin-1")}, on_field, on_file
        )
        parser.write(raw)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError):
        return None
    return form


def check(body: dict[str, Any]) -> None:
    """Refuse a request without a model or a file."""
    for name in ("model", "file"):
        if not body.get(name):
            raise missing(name)
    if not isinstance(body["file"], dict):
        raise missing("file")


def read(body: dict[str, Any]) -> tuple[list[Turn], dict[str, Any], str]:
    """Return nothing: a transcription has no conversation."""
    return [], {}, ""


def whole(body: dict[str, Any], answer: Answer, behaviour: Behaviour, prompt_tokens: int) -> dict[str, Any]:
    """Return a transcription that describes the request."""
    file = body["file"]
    return {"text": f"heard {file['size']} bytes of {file['name']}/{file['type']}"}
