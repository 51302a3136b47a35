"""The quickstart of openai-chatkit 1.6.5 as a FastAPI app: the baseline, frozen.

Its defects are left in deliberately, because a team that starts from the quickstart has them too: items
ordered by a clock, ids that are taken from the model API and collide on Chat Completions, blocking database
calls in the event loop, no access control.

Environment: ``STOCK_DB`` (path of the database), ``STOCK_BASE_URL`` (of the model API, ending in
``/v1``), ``STOCK_API`` (``responses`` or ``chat_completions``), ``STOCK_MODEL``. Run it with
``uvicorn bench.stock.app:app --no-access-log``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunContextWrapper,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

from bench.stock.store import SqliteStore

MAX_RECENT_ITEMS = 20

Context = dict[str, Any]


@function_tool
async def create_todo(context: RunContextWrapper[AgentContext[Context]], title: str) -> str:
    """Create a todo.

    Args:
        title: What is to be done.
    """
    return f"Created todo {title!r} in {context.context.thread.id}"


def _model() -> Model:
    client = AsyncOpenAI(api_key="sk-bench", base_url=os.environ["STOCK_BASE_URL"])
    chat = os.environ.get("STOCK_API", "responses") == "chat_completions"
    kind = OpenAIChatCompletionsModel if chat else OpenAIResponsesModel
    return kind(model=os.environ["STOCK_MODEL"], openai_client=client)


class StockServer(ChatKitServer[Context]):
    """Answers with one agent, whose input is the newest items of the thread."""

    def __init__(self, store: SqliteStore, model: Model) -> None:
        super().__init__(store)
        self.agent = Agent[AgentContext[Context]](
            name="assistant", instructions="You are helpful.", model=model, tools=[create_todo]
        )

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: Context,
    ) -> AsyncIterator[ThreadStreamEvent]:
        page = await self.store.load_thread_items(
            thread.id, after=None, limit=MAX_RECENT_ITEMS, order="desc", context=context
        )
        input_items = await simple_to_agent_input(list(reversed(page.data)))
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(self.agent, input_items, context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event


set_tracing_disabled(True)
app = FastAPI()
server = StockServer(SqliteStore(os.environ["STOCK_DB"]), _model())


@app.post("/chatkit")
async def chatkit(request: Request) -> Response:
    """Handle a request of the ChatKit protocol."""
    result = await server.process(await request.body(), context={})
    if isinstance(result, StreamingResult):
        return StreamingResponse(result, media_type="text/event-stream")
    return Response(content=result.json, media_type="application/json")
