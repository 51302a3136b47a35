"""Models behind endpoints that speak OpenAI's APIs, for the plugins that provide them."""

from chatrack.models.endpoint import Api, Endpoint, EndpointProvider, EndpointSettings
from chatrack.models.openai_models import ChatModel, ResponsesModel

__all__ = ["Api", "ChatModel", "Endpoint", "EndpointProvider", "EndpointSettings", "ResponsesModel"]
