"""Servers with authenticators, and who they say that a request is from."""

from typing import Any

import httpx

from tests.support.plugins import Site

WHO = """
@hookimpl
def routes(self):
    @get("/me")
    async def me(request: Request) -> Any:
        user = request.user
        return {
            "id": user.id, "tenant_id": user.tenant_id, "roles": sorted(user.roles), "name": user.name,
            "email": user.email, "locale": user.locale, "state": dict(request.auth.state),
        }
    return [me]
"""
"""A plugin that tells who the user is."""


def install_who(site: Site) -> None:
    """Install the plugin `who`, whose route `/x/who/me` tells who the user is."""
    site.install("who", WHO, head="from litestar import Request")


def auth_config(*authenticators: str, plugins: str = "", server: str = "") -> str:
    """Return the config of a server with the demo model.

    Args:
        authenticators: the names of the authenticators, in the order in which they are tried.
        plugins: their tables, without `plugins.` in the name.
        server: lines of `[server]`.
    """
    names = ", ".join(f'"{name}"' for name in ("sqlite_store", "demo_provider", "who", *authenticators))
    return f"""
enabled = [{names}]
[server]
{server}
[chat]
model = "demo"
[plugins.sqlite_store]
path = "chat.db"
{plugins}
"""


async def list_threads(http: httpx.AsyncClient, headers: Any = None, **options: Any) -> httpx.Response:
    """Send a request that needs a user and nothing else.

    Args:
        http: a client of the server.
        headers: the headers, as httpx takes them.
        options: more arguments of `httpx.AsyncClient.post`.
    """
    body = {"type": "threads.list", "params": {"limit": 1, "order": "desc"}}
    return await http.post("/chatkit/api", json=body, headers=headers, **options)


async def who_is(http: httpx.AsyncClient, headers: Any = None) -> dict[str, Any]:
    """Return who the server says that a request is from."""
    response = await http.get("/x/who/me", headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


def bearer(token: str) -> dict[str, str]:
    """Return the header with a bearer token."""
    return {"authorization": f"Bearer {token}"}


def assert_refused(response: httpx.Response, *schemes: str) -> dict[str, Any]:
    """Assert that a response is a 401 that tells nothing but the schemes, and return its problem without the request's id."""
    assert response.status_code == 401, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.headers["www-authenticate"] == ", ".join(schemes or ("Bearer",))
    assert "set-cookie" not in response.headers
    problem = dict(response.json())
    assert problem.pop("request_id") == response.headers["x-request-id"]
    assert problem == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "The request has no valid credentials.",
    }
    return problem
