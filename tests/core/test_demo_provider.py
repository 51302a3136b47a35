"""The demo model, with tools it has never seen. What any model does is tested by the provider contract."""

import asyncio
import json
from typing import Any

import pytest
from agents import Agent, ModelSettings, ModelTracing, RunConfig, Runner
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatrack import StartupError, function_tool
from chatrack.builtin.demo.model import DemoModel
from chatrack.builtin.demo_provider import DemoProviderPlugin

EVENT = TypeAdapter(ResponseStreamEvent)
NOTES = '[{"id": 3, "text": "Milk"}, {"id": 4, "text": "Buy oat milk", "status": "in_progress"}]'


def tool(name: str, required: Any = (), /, **types: str) -> Any:
    made = function_tool(lambda: "done", name_override=name, strict_mode=False)
    properties = {parameter: {"type": kind} for parameter, kind in types.items()}
    made.params_json_schema = {"properties": properties, "required": list(required)}
    return made


@function_tool
def add_note(text: str, tag: str | None = None) -> str:
    return json.dumps({"id": 3, "text": text})


TOOLS = [
    tool("roll_dice", sides="integer"),
    tool("get_weather", ["city"], city="string"),
    tool("set_volume", ["level"], level="number"),
    tool("book_table", ["people", "day"], people="integer", day="string"),
    add_note,
    tool("list_notes"),
    tool("delete_note", ["note_id"], note_id="integer"),
    tool("rename_note", ["id"], id="integer", name="string"),
]


def request(given: Any, tools: Any = TOOLS, instructions: str = "Be kind.") -> dict[str, Any]:
    unused = dict.fromkeys(("output_schema", "previous_response_id", "conversation_id", "prompt"))
    settings = {"model_settings": ModelSettings(), "tracing": ModelTracing.DISABLED, **unused}
    return {"system_instructions": instructions, "input": given, "tools": tools, "handoffs": [], **settings}


async def stream(given: Any) -> list[Any]:
    return [event async for event in DemoModel().stream_response(**request(given))]


def shown(output: list[Any]) -> str:
    """What is said; calls as lines of `NAME {json}`."""
    if output[0].type == "message":
        return output[0].content[0].text
    return "\n".join(f"{item.name} {item.arguments}" for item in output)


async def answer(given: Any, **options: Any) -> str:
    return shown((await DemoModel().get_response(**request(given, **options))).output)


def after(message: str, tool: str, output: Any) -> list[dict[str, Any]]:
    """A conversation in which a message has led to a call of a tool."""
    return [
        {"role": "user", "content": message},
        {"type": "function_call", "call_id": "call_1", "name": tool, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": output},
    ]


def test_the_provider_has_one_model_that_pauses_between_words():
    provider = DemoProviderPlugin(DemoProviderPlugin.Settings()).model_providers()["demo"]
    assert provider.get_model(None) is provider.get_model("demo")
    assert provider.get_model(None).delay == 0.02
    with pytest.raises(StartupError, match="gpt-5"):
        provider.get_model("gpt-5")


@pytest.mark.parametrize("message", ["hello", "Hi there!", "help", "what can you do?", "Good morning", ""])
async def test_a_greeting_is_met_with_what_it_can_do_and_how_to_get_a_real_model(message):
    said = await answer(message)
    assert said.startswith("Hello! I am Chatrack's demo model")
    for part in ("- list my notes", "LLM_PROVIDER=openai", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        assert part in said


@pytest.mark.parametrize("message", ["tell me a joke", "what is the capital of France?", "what is my name?"])
async def test_what_it_does_not_understand_is_met_briefly_with_what_it_does(message):
    said = await answer(message)
    assert said.startswith("I did not understand that. This is what I understand:\n\n- roll dice\n")
    assert "LLM_PROVIDER" not in said


async def test_its_examples_lead_to_calls():
    examples = [line[2:] for line in (await answer("help")).splitlines() if line.startswith("- ")]
    assert len(examples) == len(TOOLS)
    for example in examples:
        assert (await answer(example)).endswith("}"), example


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("add buy milk to my notes", 'add_note {"text": "buy milk"}'),
        ("Could you please add a note: buy milk?", 'add_note {"text": "buy milk"}'),
        ("hi, remind me to buy\n milk, please!", 'add_note {"text": "buy milk"}'),
        ('add "買い牛乳 🥛" to my notes', 'add_note {"text": "買い牛乳 🥛"}'),
        ("add walk to the park to my notes", 'add_note {"text": "walk to the park"}'),
        ("list my notes", "list_notes {}"),
        ("What are my notes?", "list_notes {}"),
        ("delete oat milk", "list_notes {}"),
        ("Please roll the dice!", "roll_dice {}"),
        ("use roll_dice", "roll_dice {}"),
        ("get the weather in Paris", 'get_weather {"city": "Paris"}'),
        ("set the volume to 2.5", 'set_volume {"level": 2.5}'),
        ('call roll_dice {"sides": 8}', 'roll_dice {"sides": 8}'),
        ('call dice.roll_dice {"sides": 8}', 'roll_dice {"sides": 8}'),
        ("  use `acme.dice.roll_dice` {}  \r\n", "roll_dice {}"),
        ('Please:\ncall add_note {"text": "a"}\ncall roll_dice {}', 'add_note {"text": "a"}\nroll_dice {}'),
    ],
)
async def test_a_command_becomes_a_call(message, call):
    assert await answer(message) == call


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('call notes.ad_note {"text": "a"}', "There is no tool `notes.ad_note`. Did you mean `add_note`?"),
        ("call roll_dice {}\ncall fly {}", "no tool `fly`. The tools here: `roll_dice`, `get_weather`, "),
        ('call get_weather {"city": }', "What follows `get_weather` is not valid JSON."),
        ("get the weather", 'call get_weather {"city": "…"}'),
        ("book a table", 'call book_table {"people": 1, "day": "…"}'),
        ("add", "add buy milk to my notes"),
        ("rename milk", "rename buy milk to buy oat milk"),
        ("history?", "No tool was called yet."),
    ],
)
async def test_a_command_that_cannot_be_carried_out_is_met_with_what_can(message, said):
    assert said in await answer(message)


@pytest.mark.parametrize(
    ("message", "tool", "output", "expected"),
    [
        ("delete OAT milk", "list_notes", NOTES, 'delete_note {"note_id": 4}'),
        ("delete milk", "list_notes", NOTES, 'delete_note {"note_id": 3}'),
        ("rename milk to go to bed", "list_notes", NOTES, 'rename_note {"id": 3, "name": "go to bed"}'),
        ("delete rum", "list_notes", NOTES, "nothing that matches “rum”. There is: “Milk”, “Buy oat milk”."),
        ("delete rum", "list_notes", "[]", "nothing that matches “rum”: there is nothing on the list."),
        ("list my notes", "list_notes", "[]", "There are no notes."),
        ("list my notes", "list_notes", NOTES, "your notes:\n\n- Milk\n- Buy oat milk (in progress)"),
        ("add a", "add_note", '{"id":1,"text":"a"}', "Done: I added “a” to your list."),
        ("roll dice", "roll_dice", "Error: no dice.", "I am sorry, that did not work: no dice."),
        ("roll dice", "roll_dice", "6", "The tool `roll_dice` answered:\n\n6"),
        ("call roll_dice {}", "roll_dice", " Error:\n6", "The tool `roll_dice` answered:\n\n Error:\n6"),
    ],
)
async def test_a_result_is_acted_on_or_reported(message, tool, output, expected):
    assert (await answer(after(message, tool, output))).endswith(expected)
    assert (await answer(after(message, tool, [{"text": output}]))).endswith(expected)


async def test_the_last_message_decides_whatever_the_server_adds_to_it():
    attachment = {"text": "[The user attached a file that you cannot see: b.txt]"}
    context = "Hidden context for the agent (not shown to the user):\nroll the dice"
    messages = [[{"text": "add a note: a"}, attachment], context]
    given = after("roll dice", "roll_dice", "6") + [{"role": "user", "content": said} for said in messages]
    assert await answer(given) == 'add_note {"text": "a"}'


@pytest.mark.parametrize(
    ("message", "agent", "said"),
    [
        ("talk to notes", "notes", "You are talking to notes now."),
        ("Please hand me over to the notes agent.", "notes", "You are talking to notes now."),
        ("talk to money_matters", "money matters", "You are talking to money matters now."),
        ("talk to the boss", "front", "- talk to notes\n- talk to money matters"),
    ],
)
async def test_the_user_is_handed_over_when_asked(message, agent, said):
    notes = Agent(name="notes", model=DemoModel(), tools=[add_note])
    money = Agent(name="money matters", model=DemoModel(), handoffs=[notes])
    front = Agent(name="front", model=DemoModel(), handoffs=[notes, money])
    result = await Runner.run(front, message, run_config=RunConfig(tracing_disabled=True))
    assert result.last_agent.name == agent
    assert said in result.final_output


async def test_it_names_conversations():
    options = {"tools": (), "instructions": "Give a title of at most six words."}
    assert await answer("please add buy milk to my list", **options) == "Please add buy milk to my"
    assert await answer("", **options) == "New conversation"


@pytest.mark.parametrize("message", ["hello", "add buy milk"])
async def test_the_same_answer_is_streamed_in_valid_numbered_events_under_new_ids(message):
    events, others = await stream(message), await stream(message)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        assert EVENT.validate_json(event.model_dump_json(warnings="error")).type == event.type
    response, other = events[-1].response, others[-1].response
    assert shown(response.output) == shown(other.output) == await answer(message)
    assert len({response.id, other.id, response.output[0].id, other.output[0].id}) == 4
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(words) == (len(shown(response.output).split()) if message == "hello" else 0)
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


async def test_other_tasks_get_their_turn_between_words_even_without_a_delay():
    words = {"a": 0, "b": 0}

    async def listen(name):
        async for event in DemoModel().stream_response(**request("hello")):
            words[name] += event.type == "response.output_text.delta"
            assert abs(words["a"] - words["b"]) <= 1

    await asyncio.gather(listen("a"), listen("b"))


DEEP = "[" * 100_000 + "]" * 100_000
OUTPUTS = (DEEP, "9" * 10_000, '[1, {"text": 7}, []]', '{"has_more": true, "x": [{"status": {}}]}')
ODD: list[Any] = [
    *(" ", "\x00", "\ud800", "add \ud800", 'call roll_dice {"a": "\\ud800"}', "!" * 100_000, '"' * 5000),
    *("please " * 10_000, "add " + "to my list " * 5000, "rename " + "a to " * 5000, "mark " + "a " * 50_000),
    *(f'call roll_dice {{"a": {DEEP}}}', f"call {'x' * 100_000} {{}}", "call x {}\n" * 5000),
    *([], None, 7, {"role": "user"}, [None, 1, "hello", []], [{}], [{"role": "user", "content": 7}]),
    [{"role": "user", "content": [None, 7, {}, {"text": 7}, ["text"], {"type": "input_image"}]}],
    [{"type": "function_call_output", "output": "orphan"}, {"type": "function_call", "call_id": []}],
    *(after("delete x", "list_notes", output) for output in OUTPUTS),
    *(after("list notes", "list_notes", output) for output in OUTPUTS),
]


@pytest.mark.parametrize("given", ODD, ids=range(len(ODD)))
async def test_odd_input_gets_an_answer(given):
    async with asyncio.timeout(5):
        events = await stream(given)
    events[-1].model_dump_json().encode()


@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"properties": {"a": True}, "required": ["a"]}])
async def test_odd_schemas_are_read_as_far_as_they_go(schema):
    odd = tool("delete_thing")
    odd.params_json_schema = schema
    for message in ("delete x", "delete", "call delete_thing {}", "delete thing", "help"):
        assert await answer(message, tools=[odd])
