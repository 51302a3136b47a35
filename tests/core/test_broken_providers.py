"""The provider contract finds models that break it, and shows an author what is wrong; one that keeps it passes."""

import re
from typing import NamedTuple

from tests.support.contracts import run_contract

MODELS = """
import asyncio

import pytest

import chatrack.testing.provider.endings
from chatrack import ModelFailure, ModelProvider
from chatrack.builtin.demo.model import DemoModel
from chatrack.testing import ProviderContract, RefusedModel

KEY = "sk-of-somebody"

chatrack.testing.provider.endings.CANCEL_TIMEOUT = 2.0  # or the broken model would cost a minute


class Provider(ModelProvider):
    def __init__(self, model):
        self.model = model

    def get_model(self, model_name):
        return self.model


class Contract(ProviderContract):
    @pytest.fixture
    def provider(self):
        return Provider(self.Model())

    @pytest.fixture
    def slow_model(self):
        return self.Model(delay=0.02)

    @pytest.fixture
    def refused(self):
        return RefusedModel(model=self.Refused(), fault="authentication", secret=KEY)

    class Model(DemoModel):
        pass

    class Refused(DemoModel):
        cause = OSError("401")

        async def get_response(self, *given, **named):
            raise ModelFailure("authentication") from self.cause

        async def stream_response(self, *given, **named):
            raise ModelFailure("authentication") from self.cause
            yield


class TestSound(Contract):
    pass


class TestSameIds(Contract):
    class Model(DemoModel):
        async def stream_response(self, *given, **named):
            async for event in super().stream_response(*given, **named):
                told = [getattr(event, "item", None), *getattr(getattr(event, "response", None), "output", ())]
                for item in told:
                    if getattr(item, "type", None) == "function_call":
                        item.call_id = "call_0"
                yield event


class TestLostText(Contract):
    class Model(DemoModel):
        async def stream_response(self, *given, **named):
            async for event in super().stream_response(*given, **named):
                if event.type != "response.output_text.delta" or event.sequence_number % 7:
                    yield event


class TestOnePiece(Contract):
    class Model(DemoModel):
        async def stream_response(self, *given, **named):
            pieces = []
            async for event in super().stream_response(*given, **named):
                if event.type == "response.output_text.delta":
                    pieces.append(event)
                    continue
                if pieces:
                    yield pieces[0].model_copy(update={"delta": "".join(piece.delta for piece in pieces)})
                    pieces = []
                yield event


class TestNeverEnds(Contract):
    cancel_timeout = 2

    class Model(DemoModel):
        async def stream_response(self, *given, **named):
            asking = asyncio.create_task(asyncio.sleep(600))  # it is not told when nobody waits any more
            async for event in super().stream_response(*given, **named):
                yield event
            asking.cancel()


class TestShowsTheKey(Contract):
    class Refused(Contract.Refused):
        cause = OSError(f"401 for Bearer {KEY}")


class TestForgets(Contract):
    class Model(DemoModel):
        async def stream_response(self, instructions, given, *more, **named):
            async for event in super().stream_response(instructions, given[-12:], *more, **named):
                yield event
"""


class Broken(NamedTuple):
    """A model that breaks the contract: a class above.

    Args:
        fails: the tests that fail.
        passes: tests that pass all the same.
        shown: what the author is shown, as a regular expression.
    """

    fails: list[str]
    passes: list[str]
    shown: str


ONE_PIECE = "test_an_answer_in_one_piece_is_the_same"
PIECES = "test_a_text_arrives_in_pieces_that_joined_are_the_text"
CANCELLED = "test_an_answer_that_is_cancelled_is_over_soon_and_leaves_no_task"

BROKEN = {
    "TestSameIds": Broken(
        fails=[
            "test_parallel_calls_have_ids_of_their_own_and_get_their_own_results",
            "test_the_calls_of_many_turns_have_ids_of_their_own",
        ],
        passes=["test_a_tool_is_called_and_its_result_reaches_the_model"],
        shown=r"two calls with one id: \['call_0', 'call_0'",
    ),
    "TestLostText": Broken(
        fails=[PIECES],
        passes=[ONE_PIECE],
        shown=r"the deltas joined are not the text",
    ),
    "TestOnePiece": Broken(
        fails=[PIECES],
        passes=["test_ten_answers_at_once_are_not_mixed_up"],
        shown=r"the text was sent in one piece",
    ),
    "TestNeverEnds": Broken(
        fails=[f"{CANCELLED}[before the first word]", f"{CANCELLED}[between two words]"],
        passes=[ONE_PIECE],
        shown=r"2 s after the answer was cancelled, these tasks are left",
    ),
    "TestShowsTheKey": Broken(
        fails=["test_a_refused_request_is_a_model_failure_that_shows_no_key"],
        passes=[PIECES],
        shown=r"OSError shows the key",
    ),
    "TestForgets": Broken(
        fails=["test_an_early_result_is_known_after_many_turns"],
        passes=[PIECES],
        shown=r"the model does not know the result of note",
    ),
}


def test_models_that_break_the_contract_fail_where_they_do_and_one_that_keeps_it_passes(tmp_path):
    chosen = [f"{name}::{test}" for name, model in BROKEN.items() for test in (*model.fails, *model.passes)]
    run = run_contract(tmp_path, MODELS, ["TestSound", *chosen])
    for name, model in BROKEN.items():
        assert run.names("FAILED", name) == set(model.fails), run.output
        assert run.names("PASSED", name) == set(model.passes), run.output
        # Asserts are rewritten, so that an author sees what was compared.
        assert re.search(model.shown, run.output), run.output
    assert not run.names("FAILED", "TestSound") | run.names("ERROR", "TestSound"), run.output
    assert len(run.names("PASSED", "TestSound")) > 37
