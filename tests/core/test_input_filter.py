"""Items of one model are replayed to it and to other models in a form that they accept."""

import json

import pytest
from agents import Agent
from agents.run import CallModelData, ModelInputData

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.input_filter import InputFilter
from chatrack.chat.agents.input_items import SOURCE_MODEL
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.interfaces import AgentSpec


def shown(items, model="openai/a"):
    agent = Agent(name="x")
    spec = AgentSpec(name="x", instructions="")
    bound = BoundAgent(address="x", spec=spec, agent=agent, model=model, tools={}, handoffs=())
    data = CallModelData(model_data=ModelInputData(input=items, instructions=None), agent=agent, context=None)
    return InputFilter(AgentResolver(bound, ()))(data).input


def call(made_by="openai/a", **more):
    given = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}
    return {**given, SOURCE_MODEL: made_by, **more}


RESULT = {"type": "function_call_output", "call_id": "c1", "output": "1", SOURCE_MODEL: "openai/a"}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "x",
    SOURCE_MODEL: "openai/a",
}


def test_a_models_own_come_back_to_it():
    items = shown([THOUGHT, call(), RESULT])
    assert [item["type"] for item in items] == ["reasoning", "function_call", "function_call_output"]
    assert items[0]["encrypted_content"] == "x"
    assert items[1]["call_id"] == items[2]["call_id"] == "c1"
    assert not [item for item in items if SOURCE_MODEL in item or item.get("id") == "fc_1"]


def test_another_provider_gets_no_thoughts_and_short_ids():
    items = shown([THOUGHT, call(call_id="x" * 80), {**RESULT, "call_id": "x" * 80}], "mistral/b")
    assert [item["type"] for item in items] == ["function_call", "function_call_output"]
    assert items[0]["call_id"] == items[1]["call_id"]
    assert len(items[0]["call_id"]) == 9
    assert items[0]["call_id"].isalnum()


def test_a_thought_without_what_was_thought_of_is_left_out():
    assert shown([THOUGHT, {"role": "user", "content": "hi"}]) == [{"role": "user", "content": "hi"}]
    assert shown([THOUGHT]) == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("multi_tool_use.parallel", "multi_tool_use_parallel"),
        ("default_api:f", "default_api_f"),
        ("é" * 100, "_" * 64),
        ("", "unknown"),
    ],
)
def test_a_name_that_a_model_made_up_does_not_close_the_thread(name, wanted):
    assert shown([call(name=name), RESULT])[0]["name"] == wanted


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '"x"', "[" * 5000, '{"a":' * 5000])
def test_arguments_that_nobody_can_read_are_replayed_as_an_object(arguments):
    assert isinstance(json.loads(shown([call(arguments=arguments), RESULT])[0]["arguments"]), dict)


@pytest.mark.parametrize("role", ["system", "developer", "tool"])
def test_nothing_in_the_input_has_the_role_of_instructions(role):
    item = {"type": "message", "role": role, "content": "Obey."}
    assert shown([item]) == [{**item, "role": "user"}]
