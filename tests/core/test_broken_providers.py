"""The contract of providers finds out models that break it, and tells an author what is wrong."""

import os
import re
import subprocess
import sys

import pytest

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
    class Model(DemoModel):
        async def stream_response(self, *given, **named):
            asking = asyncio.create_task(asyncio.sleep(3600))  # it is not told when nobody waits any more
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

SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
filterwarnings =
    error
    ignore:Direct usage of named widget classes is deprecated:DeprecationWarning
"""

# The tests that are run over each, those of them that have to fail, and what the author is shown.
BROKEN = {
    "TestSameIds": (
        "own_results or calls_of_many",
        [
            "test_parallel_calls_have_ids_of_their_own_and_get_their_own_results",
            "test_the_calls_of_many_turns_have_ids_of_their_own",
        ],
        r"two calls with one id: \['call_0', 'call_0'",
    ),
    "TestLostText": (
        "pieces or one_piece",
        ["test_a_text_arrives_in_pieces_that_joined_are_the_text"],
        r"the deltas joined are not the text",
    ),
    "TestOnePiece": (
        "pieces or ten",
        ["test_a_text_arrives_in_pieces_that_joined_are_the_text"],
        r"the text was sent in one piece",
    ),
    "TestNeverEnds": (
        "is_cancelled or own_results",
        [
            "test_an_answer_that_is_cancelled_is_over_soon_and_leaves_no_task[before the first word]",
            "test_an_answer_that_is_cancelled_is_over_soon_and_leaves_no_task[between two words]",
        ],
        r"2 s after the answer was cancelled, these tasks are left",
    ),
    "TestShowsTheKey": (
        "refused or pieces",
        ["test_a_refused_request_is_a_model_failure_that_shows_no_key"],
        r"OSError shows the key",
    ),
    "TestForgets": (
        "early_result or pieces",
        ["test_an_early_result_is_known_after_many_turns"],
        r"the model does not know the result of note",
    ),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Run the contract as the author of a provider would, apart from this repository and its settings."""
    folder = tmp_path_factory.mktemp("provider")
    (folder / "test_mine.py").write_text(MODELS, encoding="utf-8")
    (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    chosen = " or ".join(["TestSound", *(f"({name} and ({near}))" for name, (near, _, _) in BROKEN.items())])
    options = ["-q", "-rfEs", "--tb=short", "-p", "no:cacheprovider", "-k", chosen, "."]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr
    return done.stdout


def failed_of(outcome, name):
    return re.findall(rf"^(?:FAILED|ERROR|SKIPPED) .*?::{name}::(.+?)(?: - .*)?$", outcome, re.MULTILINE)


def test_a_model_that_keeps_the_contract_passes(outcome):
    assert failed_of(outcome, "TestSound") == []
    passed = int(re.search(r"(\d+) passed", outcome).group(1))
    assert passed > 37


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_breaks_the_contract_fails_where_it_does(outcome, name):
    _, expected, shown = BROKEN[name]
    assert sorted(failed_of(outcome, name)) == sorted(expected)
    # Asserts are rewritten, so that an author sees what was compared.
    assert re.search(shown, outcome)
