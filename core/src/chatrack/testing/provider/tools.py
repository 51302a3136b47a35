"""Contract tests of tools: exact arguments, unique calls, and results that reach the model."""

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import Conversation
from chatrack.testing.provider.script import ProviderScript
from chatrack.testing.provider.streaming import TEXTS, assert_consistent

LARGE_TEXT = " ".join(f"{number:07d}{'xü😀' * 28}" for number in range(510))
"""More than a hundred kilobytes."""

ARGUMENTS = {
    **TEXTS,
    "nothing": "",
    "JSON": '{"text": "in a text", "n": [1, null]}',
    "line separators": "a\u2028b\u2029c\r\nd",
    "controls": "\x01\x08\x1f\x7f",
}


class ToolsContract:
    """Tool calls within one turn."""

    script: ProviderScript

    async def test_a_tool_is_called_and_its_result_reaches_the_model(self, model: Model) -> None:
        conversation = Conversation(model, self.script)
        answer = await conversation.ask(self.script.call(("note", {"text": "milk"})))
        assert_consistent(answer)
        assert conversation.toolbox.texts() == [("note", "milk")]
        conversation.toolbox.assert_unique_ids()
        answer.assert_repeats(conversation.toolbox.calls)

    async def test_a_tool_without_parameters_is_called(self, model: Model) -> None:
        conversation = Conversation(model, self.script)
        for _ in range(2):  # the second time with the first call in the history
            assert_consistent(answer := await conversation.ask(self.script.call(("ping", {}))))
            answer.assert_repeats(conversation.toolbox.calls[-1:])
        assert conversation.toolbox.texts() == [("ping", None), ("ping", None)]
        conversation.toolbox.assert_unique_ids()

    async def test_parallel_calls_have_ids_of_their_own_and_get_their_own_results(self, model: Model) -> None:
        if not self.script.parallel:
            pytest.skip("script.parallel is False: the model calls one tool at a time")
        conversation = Conversation(model, self.script)
        answer = await conversation.ask(
            self.script.call(("note", {"text": "same"}), ("note", {"text": "same"}), ("ping", {}))
        )
        assert_consistent(answer)
        assert sorted(conversation.toolbox.texts(), key=str) == [
            ("note", "same"),
            ("note", "same"),
            ("ping", None),
        ]
        conversation.toolbox.assert_unique_ids()
        answer.assert_repeats(conversation.toolbox.calls)
        outputs = {item["call_id"]: item["output"] for item in conversation.history if "output" in item}
        for call in conversation.toolbox.calls:
            assert call.token in outputs[call.call_id], "a result has the id of another call"

    @pytest.mark.parametrize("text", ARGUMENTS.values(), ids=list(ARGUMENTS))
    async def test_arguments_and_results_are_unharmed(self, model: Model, text: str) -> None:
        conversation = Conversation(model, self.script)
        answer = await conversation.ask(self.script.call(("note", {"text": text})))
        assert_consistent(answer)
        assert conversation.toolbox.texts() == [("note", text)]
        answer.assert_repeats(conversation.toolbox.calls)

    async def test_a_hundred_kilobytes_are_given_to_a_tool_and_taken_from_it(self, model: Model) -> None:
        if not self.script.large_payloads:
            pytest.skip("script.large_payloads is False: the model does not accept a hundred kilobytes")
        conversation = Conversation(model, self.script)
        answer = await conversation.ask(self.script.call(("note", {"text": LARGE_TEXT})))
        assert_consistent(answer)
        assert conversation.toolbox.texts() == [("note", LARGE_TEXT)]
        answer.assert_repeats(conversation.toolbox.calls)
