"""Guardrails: checks of what users send and of what models answer."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeAlias

import msgspec
from chatkit.types import ThreadMetadata

from chatrack.interfaces.context import RequestContext
from chatrack.interfaces.user import User

TripStore: TypeAlias = Literal["nothing", "refusal"]
"""What a tripped guardrail leaves in the thread.

`nothing`: neither what tripped it nor a trace; the user reads the message once. `refusal`: the message, as the
assistant's answer; a user's message that tripped it is replaced by a placeholder.
"""


class Replace(msgspec.Struct, frozen=True):
    """The verdict that a text goes on in another form, such as with secrets masked.

    Args:
        text: the text that takes its place, in the thread and for the model.
        notice: a sentence that the user reads about it; None for silence.
    """

    text: str
    notice: str | None = None


class Trip(msgspec.Struct, frozen=True):
    """The verdict that ends the turn.

    Args:
        message: the sentence that the user reads.
        store: what stays in the thread.
    """

    message: str
    store: TripStore = "nothing"


Verdict: TypeAlias = Replace | Trip | None
"""What a check returns; None lets the text pass as it is."""


class GuardrailContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardrail may know besides the text.

    Args:
        request: the request of the turn, with its user.
        thread: the thread; of a thread that the message begins, nothing is stored yet.
        agent: the full name of the agent that the guardrail belongs to.
    """

    request: RequestContext
    thread: ThreadMetadata
    agent: str

    @property
    def user(self) -> User:
        """The user of the request."""
        return self.request.user


class Guardrail(ABC):  # noqa: B024  (its two subclasses have the abstract methods)
    """The base of `InputGuardrail` and `OutputGuardrail`; a guardrail may be both.

    A check that raises, or takes longer than `timeout`, ends the turn as if it had tripped: what was not checked is
    neither stored nor shown. Checks run in the server's event loop; blocking work belongs in a thread.
    """

    timeout: float = 10.0
    """Seconds that one check may take."""

    def check_settings(self) -> None:  # noqa: B027  (most guardrails need no settings)
        """Check the settings that the guardrail cannot do without. Called at start-up if an agent uses it.

        Raises:
            StartupError: a setting is missing.
        """


class InputGuardrail(Guardrail):
    """Checks what users send, before it is stored and before a model sees it."""

    @abstractmethod
    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        """Check what the user sent.

        Args:
            text: a message with its quoted text and tags, answers to an agent's questions, or the output of a client
                tool. If it consists of several texts, they are joined by blank lines; to replace something in
                one of them, the guardrail is called once more for each.
            context: the user, the thread and the agent.
        """


class OutputGuardrail(Guardrail):
    """Checks what models answer, before it is stored and before the user sees it."""

    by_sentence: ClassVar[bool] = False
    """Whether an answer may be checked and shown sentence by sentence. If not, it is held back until it is complete."""

    @abstractmethod
    async def check_output(self, text: str, context: GuardrailContext) -> Verdict:
        """Check a text of a model.

        Args:
            text: a message, or if `by_sentence` one or more sentences of it.
            context: the user, the thread and the agent.
        """

    def complete_length(self, text: str) -> int:
        """Return how many characters of the beginning of a text can be checked without knowing what follows it.

        Called only if `by_sentence`, and not for the end of a message. The rest is held back and comes again with the
        next sentence.

        Args:
            text: one or more sentences that have arrived.
        """
        return len(text)
