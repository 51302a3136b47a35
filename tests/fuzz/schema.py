"""Runs schemathesis over the OpenAPI schema of the application. Nothing that tests import needs schemathesis."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatkit.types import NonStreamingReq, StreamingReq
from litestar import Litestar
from litestar.openapi import OpenAPIConfig

from chatrack.assembly import assemble
from chatrack.chat.server import ChatrackServer
from chatrack.http.api import api_route
from chatrack.http.health import health_routes
from tests.fuzz.requests import json_schema
from tests.fuzz.server import fuzzed_server
from tests.support.tokens import claims, token

_PROBLEM = {
    "description": "A refusal.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "request_id"],
                "properties": {"status": {"type": "integer"}, "detail": {"type": "string"}},
            }
        }
    },
}
_CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"


def openapi_schema(folder: Path) -> dict[str, Any]:
    """Return the schema that Litestar makes of the routes, with what their handlers read and write by themselves.

    Args:
        folder: for a config file.
    """
    config = folder / "schema.toml"
    config.write_text(
        'enabled = ["sqlite_store", "demo_provider"]\n[chat]\nmodel = "demo"\n', encoding="utf-8"
    )
    server = ChatrackServer(assemble(config, environ={}))
    routes = [api_route(server), *health_routes(server)]
    app = Litestar(route_handlers=routes, openapi_config=OpenAPIConfig("Chatrack", "1"), logging_config=None)
    schema: dict[str, Any] = app.openapi_schema.to_schema()
    request = json_schema(StreamingReq | NonStreamingReq)
    definitions = json.loads(json.dumps(request.pop("$defs")).replace("#/$defs/", "#/components/schemas/"))
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions)
    request = json.loads(json.dumps(request).replace("#/$defs/", "#/components/schemas/"))
    for operations in schema["paths"].values():
        for method, operation in operations.items():
            kinds = {"application/json": {"schema": {"type": "object"}}}
            if method == "post":
                operation["requestBody"] = {
                    "required": True,
                    "content": {"application/json": {"schema": request}},
                }
                kinds["text/event-stream"] = {"schema": {"type": "object", "required": ["data"]}}
            operation["responses"] = {
                "200": {"description": "An answer.", "content": kinds},
                "default": _PROBLEM,
            }
    return schema


def run_schemathesis(folder: Path, seed: int, examples: int) -> list[str]:
    """Run schemathesis against a server of its own, and return what it finds.

    Args:
        folder: for its files.
        seed: for the choice of examples.
        examples: how many for each route.
    """
    folder = folder / "openapi"
    folder.mkdir()
    with fuzzed_server(folder, fresh=True) as server:
        schema = folder / "openapi.json"
        schema.write_text(json.dumps(openapi_schema(folder)), encoding="utf-8")
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", server.url, "--checks", _CHECKS, "--seed", str(seed),
            "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--no-color",
            "--header", f"Authorization: Bearer {token(claims(sub='ada'))}", "--generation-database", "none",
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        log = server.log()
    found = (
        [] if result.returncode == 0 else [f"schemathesis:\n{result.stdout[-6000:]}{result.stderr[-2000:]}"]
    )
    if "Traceback" in log or "[error" in log:
        found.append(f"the log of the server has errors: {folder}")
    return found
