"""Models behind endpoints that speak OpenAI's APIs: what providers of such models are made of."""

from chatrack.models.endpoint import Api, Endpoint, EndpointProvider, EndpointSettings
from chatrack.models.openai_models import ChatModel, ResponsesModel

__all__ = ["Api", "ChatModel", "Endpoint", "EndpointProvider", "EndpointSettings", "ResponsesModel"]
