"""Contract tests of long conversations: earlier messages and results are still known."""

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import WORDS, Conversation, user
from chatrack.testing.provider.script import ProviderScript
from chatrack.testing.provider.streaming import assert_consistent

TURNS = 20

FOREIGN_HISTORY = [
    user("What is on my list?"),
    {"role": "assistant", "content": "I will look."},
    {"type": "function_call", "call_id": "5d41402ab", "name": "ping", "arguments": "{}"},
    {"type": "function_call", "call_id": "7d793037a", "name": "note", "arguments": '{"text": "ü"}'},
    {"type": "function_call_output", "call_id": "5d41402ab", "output": "a1b2c3d4"},
    {"type": "function_call_output", "call_id": "7d793037a", "output": ""},
    {"role": "assistant", "content": "There is a1b2c3d4 on it."},
]
"""A turn of another provider's model, in the form in which the server replays it."""


class ConversationsContract:
    """Consecutive turns, each with the history of the earlier ones, and handoffs."""

    script: ProviderScript

    async def test_an_early_result_is_known_after_many_turns(self, model: Model) -> None:
        conversation = Conversation(model, self.script)
        for turn in range(TURNS):
            if turn % 5 == 0:
                answer = await conversation.ask(self.script.call(("note", {"text": f"turn {turn}"})))
                answer.assert_repeats(conversation.toolbox.calls[-1:])
            else:
                answer = await conversation.ask(self.script.say(f"{turn} {WORDS}"))
                assert answer.text == f"{turn} {WORDS}"
            assert_consistent(answer)
        assert conversation.toolbox.texts() == [("note", f"turn {turn}") for turn in range(0, TURNS, 5)]
        answer = await conversation.ask(self.script.recall())
        answer.assert_repeats(conversation.toolbox.calls)

    async def test_the_calls_of_many_turns_have_ids_of_their_own(self, model: Model) -> None:
        conversation = Conversation(model, self.script)
        for turn in range(10):
            assert_consistent(
                answer := await conversation.ask(self.script.call(("note", {"text": f"turn {turn}"})))
            )
            answer.assert_repeats(conversation.toolbox.calls[-1:])
        assert [call.text for call in conversation.toolbox.calls] == [f"turn {turn}" for turn in range(10)]
        conversation.toolbox.assert_unique_ids()

    async def test_a_conversation_that_another_model_began_goes_on(self, model: Model) -> None:
        if not self.script.foreign_history:
            pytest.skip("script.foreign_history is False: the model continues only its own conversations")
        conversation = Conversation(model, self.script, FOREIGN_HISTORY)
        assert_consistent(answer := await conversation.ask(self.script.recall()))
        assert "a1b2c3d4" in answer.text
        assert_consistent(answer := await conversation.ask(self.script.call(("note", {"text": "milk"}))))
        answer.assert_repeats(conversation.toolbox.calls)

    async def test_an_agent_hands_over_to_another_that_goes_on(self, model: Model) -> None:
        if not self.script.handoffs:
            pytest.skip("script.handoffs is False: the model makes no handoffs")
        conversation = Conversation(model, self.script)
        await conversation.ask(self.script.call(("note", {"text": "before"})))
        second = conversation.new_agent("second", model, self.script)
        conversation.agent.handoffs.append(second)
        answer = await conversation.ask(self.script.call(("transfer_to_second", {})))
        assert_consistent(answer)
        assert answer.result.last_agent is second
        assert len(answer.responses) == 2, "each of the two agents has to respond"
        conversation.agent = second
        assert_consistent(answer := await conversation.ask(self.script.call(("note", {"text": "after"}))))
        assert conversation.toolbox.texts() == [("note", "before"), ("note", "after")]
        conversation.toolbox.assert_unique_ids()
        answer.assert_repeats(conversation.toolbox.calls[-1:])
        answer = await conversation.ask(self.script.recall())
        answer.assert_repeats(conversation.toolbox.calls)
