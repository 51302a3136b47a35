"""Conversations of many turns: what was said and done before is still known."""

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import WORDS, Asking, user
from chatrack.testing.provider.script import ProviderScript
from chatrack.testing.provider.streaming import check

TURNS = 20

ELSEWHERE = [
    user("What is on my list?"),
    {"role": "assistant", "content": "I will look."},
    {"type": "function_call", "call_id": "5d41402ab", "name": "ping", "arguments": "{}"},
    {"type": "function_call", "call_id": "7d793037a", "name": "note", "arguments": '{"text": "ü"}'},
    {"type": "function_call_output", "call_id": "5d41402ab", "output": "a1b2c3d4"},
    {"type": "function_call_output", "call_id": "7d793037a", "output": ""},
    {"role": "assistant", "content": "There is a1b2c3d4 on it."},
]
"""A turn of another provider's model, as the server shows it."""


class ConversationsContract:
    """Turns that follow each other, each with all before it, and agents that do."""

    script: ProviderScript

    async def test_an_early_result_is_known_after_many_turns(self, model: Model) -> None:
        asking = Asking(model, self.script)
        for turn in range(TURNS):
            if turn % 5 == 0:
                heard = await asking.ask(self.script.call(("note", {"text": f"turn {turn}"})))
                heard.check_repeats(asking.box.calls[-1:])
            else:
                heard = await asking.ask(self.script.say(f"{turn} {WORDS}"))
                assert heard.text == f"{turn} {WORDS}"
            check(heard)
        assert asking.box.texts() == [("note", f"turn {turn}") for turn in range(0, TURNS, 5)]
        heard = await asking.ask(self.script.recall())
        heard.check_repeats(asking.box.calls)

    async def test_the_calls_of_many_turns_have_ids_of_their_own(self, model: Model) -> None:
        asking = Asking(model, self.script)
        for turn in range(10):
            check(heard := await asking.ask(self.script.call(("note", {"text": f"turn {turn}"}))))
            heard.check_repeats(asking.box.calls[-1:])
        assert [call.text for call in asking.box.calls] == [f"turn {turn}" for turn in range(10)]
        asking.box.check_ids()

    async def test_a_conversation_that_another_model_began_goes_on(self, model: Model) -> None:
        if not self.script.elsewhere:
            pytest.skip("script.elsewhere is False: the model goes on with its own conversations only")
        asking = Asking(model, self.script, ELSEWHERE)
        check(heard := await asking.ask(self.script.recall()))
        assert "a1b2c3d4" in heard.text
        check(heard := await asking.ask(self.script.call(("note", {"text": "milk"}))))
        heard.check_repeats(asking.box.calls)

    async def test_an_agent_hands_over_to_another_that_goes_on(self, model: Model) -> None:
        if not self.script.handoffs:
            pytest.skip("script.handoffs is False: the model does not hand over")
        asking = Asking(model, self.script)
        await asking.ask(self.script.call(("note", {"text": "before"})))
        second = asking.new_agent("second", model, self.script)
        asking.agent.handoffs.append(second)
        heard = await asking.ask(self.script.call(("transfer_to_second", {})))
        check(heard)
        assert heard.result.last_agent is second
        assert len(heard.responses) == 2, "each of the two agents has to say something"
        asking.agent = second
        check(heard := await asking.ask(self.script.call(("note", {"text": "after"}))))
        assert asking.box.texts() == [("note", "before"), ("note", "after")]
        asking.box.check_ids()
        heard.check_repeats(asking.box.calls[-1:])
        heard = await asking.ask(self.script.recall())
        heard.check_repeats(asking.box.calls)
