"""`compatible_provider`: any number of endpoints that speak OpenAI's APIs, each under its own name."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

import chatrack
from chatrack import ModelProvider, hookimpl
from chatrack.models import Endpoint, EndpointProvider, EndpointSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class CompatibleEndpoint(EndpointSettings, kw_only=True):
    """`[plugins.compatible_provider.endpoints.<name>]`."""

    base_url: str


class CompatibleProviderPlugin:
    """Provides the models of each endpoint under the endpoint's name."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.compatible_provider]`.

        Args:
            endpoints: the endpoints, by name.
        """

        endpoints: dict[str, CompatibleEndpoint] = {}

        def __post_init__(self) -> None:
            for name in self.endpoints:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f'endpoints: "{name}" cannot be the name of a provider: it stands before a slash'
                    )

    def __init__(self, settings: Settings) -> None:
        self.providers = {
            name: EndpointProvider(
                Endpoint(
                    key=f"plugins.compatible_provider.endpoints.{name}", settings=endpoint, needs_key=False
                )
            )
            for name, endpoint in settings.endpoints.items()
        }

    @hookimpl
    def model_providers(self) -> Mapping[str, ModelProvider]:
        """Return the providers, by the names of their endpoints."""
        return dict(self.providers)

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Close the connections on exit."""
        return self._open()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for provider in self.providers.values():
                await stack.enter_async_context(provider.open())
            yield
