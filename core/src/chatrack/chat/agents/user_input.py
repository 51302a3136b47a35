"""What the user adds to an item that waits for it: the output of a client tool, or answers to questions."""

from typing import Any, Protocol

from chatkit.types import (
    ClientToolCallItem,
    StructuredInputAnswer,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputSubmission,
    ThreadItem,
)

from chatrack.chat.turns.session import TurnSession
from chatrack.errors import BadRequest, NotFound
from chatrack.interfaces import Store


class UserInput(Protocol):
    """Completes one item of a thread."""

    async def complete(self, session: TurnSession) -> ThreadItem:
        """Return the item, completed; it is not stored yet.

        Raises:
            RequestError: no item waits for this input.
        """


class ClientToolOutput:
    """The output of the client tool that the thread waits for.

    Args:
        store: where the thread is.
        output: the JSON value that the page's tool returned.
    """

    def __init__(self, store: Store, output: Any) -> None:
        self._store = store
        self._output = output

    async def complete(self, session: TurnSession) -> ThreadItem:
        """Return the newest pending call with its output; the page has given up on older ones.

        Raises:
            NotFound: no call is pending.
        """
        for pause in reversed(await self._store.load_pauses(session.thread_id, session.context)):
            call = await self._store.load_item(session.thread_id, pause.item_id, session.context)
            if isinstance(call, ClientToolCallItem) and call.status == "pending":
                return call.model_copy(update={"status": "completed", "output": self._output})
        raise NotFound("No client tool call is waiting in this thread.")


class StructuredAnswers:
    """The user's answers to the questions of one item.

    Args:
        store: where the item is.
        item_id: the item.
        submission: the answers, by question.
    """

    def __init__(self, store: Store, item_id: str, submission: StructuredInputSubmission) -> None:
        self._store = store
        self._item_id = item_id
        self._submission = submission

    async def complete(self, session: TurnSession) -> ThreadItem:
        """Return the item with the answers filled in.

        Raises:
            BadRequest: the questions have been answered already.
        """
        item = await self._store.load_item(session.thread_id, self._item_id, session.context)
        assert isinstance(item, StructuredInputItem)
        if item.status != "pending":
            raise BadRequest("These questions have been answered already.", field="params.item_id")
        return apply_answers(item, self._submission)


def apply_answers(item: StructuredInputItem, submission: StructuredInputSubmission) -> StructuredInputItem:
    """Return an item with the user's answers, as ChatKit's own server fills them in.

    Questions without an answer count as skipped; answers to questions that were not asked are ignored.
    """
    answered = item.model_copy(deep=True)
    for question in answered.inputs:
        answer = submission.answers.get(question.id)
        if submission.status == "skipped" or answer is None or answer.skipped or not answer.values:
            question.answer = StructuredInputAnswer(skipped=True)
            continue
        single = isinstance(question, StructuredInputMultipleChoice) and not question.multiple
        question.answer = StructuredInputAnswer(values=answer.values[:1] if single else answer.values)
    answered.status = submission.status
    return answered
