"""Sources that an answer cites, from a provider's annotations to ChatKit's."""

from collections.abc import Sequence
from typing import Any

import structlog
from chatkit.types import Annotation, FileSource, URLSource
from pydantic import ValidationError

from chatrack.chat.agents.link_judge import leads_to
from chatrack.chat.agents.sanitize import sanitize_json

_log = structlog.get_logger(source="chatrack.agents")


def to_annotation(raw: Any, link_hosts: Sequence[str] | None) -> Annotation | None:
    """Convert an annotation; return None for one of another kind, and for a page on a host that is not listed.

    Args:
        raw: the provider's annotation.
        link_hosts: the hosts that links may lead to; None for all.
    """
    # The openai client parses annotations into whichever class comes first, or leaves a dict.
    values = raw if isinstance(raw, dict) else raw.model_dump()
    values = sanitize_json(values)  # titles and URLs of web pages
    kind = values.get("type")
    try:
        if kind == "url_citation" and values.get("url"):
            source = URLSource(url=values["url"], title=values.get("title") or values["url"])
            annotation = Annotation(source=source, index=values.get("end_index"))
            return annotation if link_hosts is None or leads_to(source.url, link_hosts) else None
        if kind in {"file_citation", "container_file_citation"} and values.get("filename"):
            name = values["filename"]
            index = values.get("index") if kind == "file_citation" else values.get("end_index")
            return Annotation(source=FileSource(filename=name, title=name), index=index)
    except ValidationError:
        pass
    _log.debug("annotation skipped", kind=kind)
    return None
