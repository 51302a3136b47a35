"""Tools: called with exactly what the model says, told apart, and their results reach the model."""

import pytest

from chatrack.interfaces.models import Model
from chatrack.testing.provider.harness import Asking
from chatrack.testing.provider.script import ProviderScript
from chatrack.testing.provider.streaming import TEXTS, check

HUGE = " ".join(f"{number:07d}{'xü😀' * 28}" for number in range(510))
"""More than a hundred kilobytes."""

ARGUMENTS = {
    **TEXTS,
    "nothing": "",
    "JSON": '{"text": "in a text", "n": [1, null]}',
    "line separators": "a\u2028b\u2029c\r\nd",
    "controls": "\x01\x08\x1f\x7f",
}


class ToolsContract:
    """Calls of tools within one turn."""

    script: ProviderScript

    async def test_a_tool_is_called_and_its_result_reaches_the_model(self, model: Model) -> None:
        asking = Asking(model, self.script)
        heard = await asking.ask(self.script.call(("note", {"text": "milk"})))
        check(heard)
        assert asking.box.texts() == [("note", "milk")]
        asking.box.check_ids()
        heard.check_repeats(asking.box.calls)

    async def test_a_tool_without_parameters_is_called(self, model: Model) -> None:
        asking = Asking(model, self.script)
        for _ in range(2):  # the second time with the first call in the conversation
            check(heard := await asking.ask(self.script.call(("ping", {}))))
            heard.check_repeats(asking.box.calls[-1:])
        assert asking.box.texts() == [("ping", None), ("ping", None)]
        asking.box.check_ids()

    async def test_parallel_calls_have_ids_of_their_own_and_get_their_own_results(self, model: Model) -> None:
        if not self.script.parallel:
            pytest.skip("script.parallel is False: the model calls one tool at a time")
        asking = Asking(model, self.script)
        heard = await asking.ask(
            self.script.call(("note", {"text": "same"}), ("note", {"text": "same"}), ("ping", {}))
        )
        check(heard)
        assert sorted(asking.box.texts(), key=str) == [("note", "same"), ("note", "same"), ("ping", None)]
        asking.box.check_ids()
        heard.check_repeats(asking.box.calls)
        outputs = {item["call_id"]: item["output"] for item in asking.history if "output" in item}
        for call in asking.box.calls:
            assert call.token in outputs[call.call_id], "a result has the id of another call"

    @pytest.mark.parametrize("text", ARGUMENTS.values(), ids=list(ARGUMENTS))
    async def test_arguments_and_results_are_unharmed(self, model: Model, text: str) -> None:
        asking = Asking(model, self.script)
        heard = await asking.ask(self.script.call(("note", {"text": text})))
        check(heard)
        assert asking.box.texts() == [("note", text)]
        heard.check_repeats(asking.box.calls)

    async def test_a_hundred_kilobytes_are_given_to_a_tool_and_taken_from_it(self, model: Model) -> None:
        if not self.script.huge:
            pytest.skip("script.huge is False: the model does not take a hundred kilobytes")
        asking = Asking(model, self.script)
        heard = await asking.ask(self.script.call(("note", {"text": HUGE})))
        check(heard)
        assert asking.box.texts() == [("note", HUGE)]
        heard.check_repeats(asking.box.calls)
