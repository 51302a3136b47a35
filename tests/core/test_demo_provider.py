"""The demo model: what it understands of tools it has never seen, and the events it answers in."""

import asyncio
import json
from typing import Any, Literal

import pytest
from agents import Agent, ModelSettings, ModelTracing, RunConfig, Runner
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatrack import Model, StartupError, function_tool
from chatrack.builtin.demo.model import DemoModel
from chatrack.builtin.demo_provider import DemoProvider, DemoProviderPlugin

QUIET = RunConfig(tracing_disabled=True)
EVENT = TypeAdapter(ResponseStreamEvent)


@function_tool
def roll_dice(sides: int = 6) -> str:
    """Roll a die."""
    return f"rolled one of {sides}"


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return json.dumps(f"rain in {city}")


@function_tool
def create_event(title: str, priority: Literal["low", "high"] = "low", deadline: str | None = None) -> str:
    """Create an event."""
    return json.dumps({"id": 7, "title": title})


@function_tool
def add_note(text: str, tag: str | None = None) -> str:
    """Add a note."""
    return json.dumps({"note_id": 3, "text": text})


@function_tool
def list_notes() -> str:
    """List notes."""
    return json.dumps([{"note_id": 3, "text": "Milk"}, {"note_id": 4, "text": "Buy oat milk"}])


@function_tool
def delete_note(note_id: int) -> str:
    """Delete a note."""
    return f"note {note_id} is gone"


ALL = [roll_dice, get_weather, create_event, add_note, list_notes, delete_note]


def request(given: Any, *, tools=ALL, handoffs=(), instructions: str | None = "Be kind.") -> dict[str, Any]:
    return {
        "system_instructions": instructions,
        "input": given,
        "model_settings": ModelSettings(),
        "tools": list(tools),
        "output_schema": None,
        "handoffs": list(handoffs),
        "tracing": ModelTracing.DISABLED,
        "previous_response_id": None,
        "conversation_id": None,
        "prompt": None,
    }


async def stream(given: Any, **options: Any) -> list[Any]:
    return [event async for event in DemoModel().stream_response(**request(given, **options))]


async def answer(given: Any, **options: Any) -> str | tuple[str, dict[str, Any]]:
    """What is said, or what is called with what."""
    (item,) = (await DemoModel().get_response(**request(given, **options))).output
    if item.type == "function_call":
        return item.name, json.loads(item.arguments)
    return item.content[0].text


def after(message: str, *steps: tuple[str, dict[str, Any], Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [{"role": "user", "content": message}]
    for number, (name, arguments, output) in enumerate(steps):
        call_id = f"call_{number}"
        items.append(
            {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)}
        )
        items.append({"type": "function_call_output", "call_id": call_id, "output": output})
    return items


# -- the provider ------------------------------------------------------------------------------------------


def plugin_model() -> Model:
    plugin = DemoProviderPlugin(DemoProviderPlugin.Settings())
    return plugin.model_providers()["demo"].get_model(None)


def test_the_provider_has_one_model():
    provider = DemoProvider(delay=0)
    assert isinstance(provider.get_model(None), Model)
    assert isinstance(provider.get_model("demo"), Model)
    with pytest.raises(StartupError, match="gpt-5"):
        provider.get_model("gpt-5")


def test_the_plugin_gives_words_a_delay():
    model = plugin_model()
    assert isinstance(model, DemoModel)
    assert model.delay == 0.02


# -- events ------------------------------------------------------------------------------------------------


async def test_a_text_is_streamed_in_the_events_of_the_responses_api():
    events = await stream("hello")
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    (message,) = events[-1].response.output
    text = message.content[0].text
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == text
    assert len(deltas) == len(text.split())
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {message.id}
    assert message.id.startswith("msg_")
    assert events[0].response.output == []
    assert events[0].response.status == "in_progress"
    assert events[-1].response.status == "completed"


async def test_a_call_is_streamed_in_the_events_of_the_responses_api():
    events = await stream("add buy milk to my notes")
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    (call,) = events[-1].response.output
    assert (events[2].item.arguments, events[2].item.status) == ("", "in_progress")
    assert events[3].delta == events[4].arguments == call.arguments
    assert (call.id[:3], call.call_id[:5]) == ("fc_", "call_")


@pytest.mark.parametrize("message", ["hello", "add buy milk", "roll the dice"])
async def test_every_event_is_valid_numbered_and_counted(message):
    events = await stream(message)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        assert EVENT.validate_json(event.model_dump_json(warnings="error")).type == event.type
        assert getattr(event, "output_index", 0) == 0
    usage = events[-1].response.usage
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


async def test_ids_are_never_used_twice():
    first, second = await stream("hello"), await stream("hello")
    calls = [(await stream("add a"))[-1].response.output[0] for _ in range(2)]
    assert first[-1].response.id.startswith("resp_")
    assert first[-1].response.id != second[-1].response.id
    assert first[-1].response.output[0].id != second[-1].response.output[0].id
    assert calls[0].call_id != calls[1].call_id


async def test_the_same_conversation_gets_the_same_answer_streamed_or_not():
    for given in (
        "hello",
        "add buy milk",
        "list my notes",
        after("delete oat milk", ("list_notes", {}, "[]")),
    ):
        expected = await answer(given)
        for _ in range(3):
            (item,) = (await stream(given))[-1].response.output
            said = (
                (item.name, json.loads(item.arguments))
                if item.type == "function_call"
                else item.content[0].text
            )
            assert said == expected == await answer(given)


async def test_others_get_their_turn_between_words_even_without_a_delay():
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    words = len([event for event in await stream("hello") if event.type == "response.output_text.delta"])
    task.cancel()
    assert turns >= words


async def test_a_stream_that_is_cancelled_leaves_nothing_behind():
    before = asyncio.all_tasks()
    begun = asyncio.Event()

    async def listen():
        async for event in DemoModel(delay=5).stream_response(**request("hello")):
            if event.type == "response.content_part.added":
                begun.set()

    task = asyncio.create_task(listen())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_a_run_that_is_cancelled_mid_stream_leaves_no_tasks():
    before = asyncio.all_tasks()
    agent = Agent(name="a", instructions="x", model=DemoModel(delay=0.05))
    result = Runner.run_streamed(agent, "hello", run_config=QUIET)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            result.cancel()
            break
    async with asyncio.timeout(5):
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0.01)


# -- orders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("add buy milk to my notes", "buy milk"),
        ("Add buy milk.", "buy milk"),
        ("please add buy milk to my list, please!", "buy milk"),
        ("could you add a note: buy milk?", "buy milk"),
        ("note: buy milk", "buy milk"),
        ("Remember to buy milk", "buy milk"),
        ("remind me to buy milk", "buy milk"),
        ('add "buy milk" to the list', "buy milk"),
        ("add “due by 2026-01-01” to my notes", "due by 2026-01-01"),
        ("create a new note called buy milk", "buy milk"),
        ("add 買い牛乳 🥛 to my notes", "買い牛乳 🥛"),
        ("add mom's 'special' cake", "mom's 'special' cake"),
        ("add walk to the park to my notes", "walk to the park"),
        ("hi, add buy\n milk", "buy milk"),
    ],
)
async def test_something_new_goes_to_the_text_that_the_tool_needs(message, text):
    assert await answer(message, tools=[add_note, list_notes]) == ("add_note", {"text": text})


async def test_of_several_tools_the_one_whose_noun_is_mentioned_is_used():
    assert await answer("add an event: dinner") == ("create_event", {"title": "dinner"})
    assert await answer("add a note: dinner") == ("add_note", {"text": "dinner"})


async def test_priority_and_due_date_are_sent_where_the_schema_has_them():
    said = "add dinner with high priority due 2026-12-01 to my events"
    assert await answer(said) == (
        "create_event",
        {"title": "dinner", "priority": "high", "deadline": "2026-12-01"},
    )
    assert await answer("add dinner with high priority to my notes", tools=[add_note]) == (
        "add_note",
        {"text": "dinner with high priority"},
    )


async def test_what_is_missing_is_asked_for():
    assert "What should I add?" in await answer("add")
    assert "Which one?" in await answer("delete")
    assert "`city`" in await answer("get the weather")


@pytest.mark.parametrize(
    ("message", "called"),
    [
        ("call roll_dice", ("roll_dice", {})),
        ('use roll_dice {"sides": 6}', ("roll_dice", {"sides": 6})),
        ('use `roll_dice` with {"sides": 6}, please', ("roll_dice", {"sides": 6})),
        ("roll the dice", ("roll_dice", {})),
        ("Please roll dice!", ("roll_dice", {})),
        ("get the weather in Paris", ("get_weather", {"city": "Paris"})),
        ("get_weather Paris", ("get_weather", {"city": "Paris"})),
        ("delete note #4", ("delete_note", {"note_id": 4})),
        ("list my notes", ("list_notes", {})),
        ("What are my notes?", ("list_notes", {})),
        ("show notes", ("list_notes", {})),
    ],
)
async def test_tools_it_has_never_seen_are_called(message, called):
    assert await answer(message) == called


@pytest.mark.parametrize("message", ["what is the capital of France?", "what is my name?", "tell me a joke"])
async def test_what_is_no_order_is_no_call(message):
    assert "demo model" in await answer(message)


async def test_json_that_is_none_is_said_to_be_none():
    assert "not valid JSON" in await answer('use roll_dice {"sides": }')


async def test_a_thing_without_an_id_is_looked_up_first():
    assert await answer("delete oat milk") == ("list_notes", {})
    listed = '[{"note_id": 3, "text": "Milk"}, {"note_id": 4, "text": "Buy oat milk"}]'
    assert await answer(after("delete OAT milk", ("list_notes", {}, listed))) == (
        "delete_note",
        {"note_id": 4},
    )
    assert await answer(after("delete milk", ("list_notes", {}, listed))) == ("delete_note", {"note_id": 3})
    said = await answer(after("delete bread", ("list_notes", {}, listed)))
    assert "“bread”" in said
    assert "“Milk”" in said


async def test_looking_up_ends_even_if_the_list_does_not():
    @function_tool
    def list_logs(offset: int = 0) -> str:
        """List logs."""
        return json.dumps({"logs": [{"id": offset, "title": "x"}], "has_more": True})

    @function_tool
    def delete_log(log_id: int) -> str:
        """Delete a log."""
        return "gone"

    agent = Agent(name="a", instructions="x", model=DemoModel(), tools=[list_logs, delete_log])
    result = await Runner.run(agent, "delete y", run_config=QUIET)
    assert "I found no log that matches “y”" in result.final_output


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "step", "said"),
    [
        (
            "add a note: a",
            ("add_note", {"text": "a"}, '{"note_id":1,"text":"a"}'),
            "Done: I added “a” to your list.",
        ),
        ("add an event: a", ("create_event", {"title": "a"}, '{"title":"a"}'), "Done: I added “a”."),
        ("list my notes", ("list_notes", {}, "[]"), "There are no notes."),
        ("list my notes", ("list_notes", {}, '[{"text":"a"}]'), "There is one note:\n\n- a"),
        (
            "list my notes",
            ("list_notes", {}, '{"notes":[{"text":"a","status":"in_progress"},{"text":"b"}],"total":9}'),
            "Here are 2 of 9 notes:\n\n- a (in progress)\n- b",
        ),
        ("roll dice", ("roll_dice", {}, "rolled 6"), "The tool `roll_dice` answered: “rolled 6”"),
        ("roll dice", ("roll_dice", {}, "6"), "The tool `roll_dice` answered: “6”"),
        ("roll dice", ("roll_dice", {}, ""), "The tool `roll_dice` is done; it gave no answer."),
        ("roll dice", ("roll_dice", {}, "Error: no dice."), "I am sorry, that did not work: no dice."),
        (
            "roll dice",
            ("roll_dice", {}, [{"type": "input_text", "text": "rolled 6"}]),
            "The tool `roll_dice` answered: “rolled 6”",
        ),
    ],
)
async def test_the_answer_is_made_of_what_the_tool_gave(message, step, said):
    assert await answer(after(message, step)) == said


async def test_long_results_are_cut():
    assert len(await answer(after("roll dice", ("roll_dice", {}, "x" * 100_000)))) < 600
    many = json.dumps([{"text": "x" * 1000}] * 1000)
    assert len(await answer(after("list my notes", ("list_notes", {}, many)))) < 30_000


async def test_the_last_message_decides_and_what_was_done_before_does_not():
    given = [*after("add a note: a", ("add_note", {}, "{}")), {"role": "assistant", "content": "Done."}]
    given.append({"role": "user", "content": [{"type": "input_text", "text": "roll the dice"}]})
    assert await answer(given) == ("roll_dice", {})


async def test_what_the_server_adds_to_a_message_is_not_taken_for_the_message():
    given = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "add a note: a"},
                {"type": "input_text", "text": "[The user attached a file that you cannot see: b.txt]"},
            ],
        },
        {"role": "user", "content": "The user is referring to this in particular: \nroll the dice"},
        {"role": "user", "content": "Hidden context for the agent (not shown to the user):\nroll the dice"},
    ]
    assert await answer(given) == ("add_note", {"text": "a"})


# -- to the letter -----------------------------------------------------------------------------------------


def exactly(name: str, **arguments: Any) -> str:
    return f"call {name} {json.dumps(arguments, ensure_ascii=False)}"


async def calls(message: str, **options: Any) -> list[tuple[str, dict[str, Any]]]:
    """What is called, all at once."""
    output = (await stream(message, **options))[-1].response.output
    assert len({item.call_id for item in output}) == len(output)
    return [(item.name, json.loads(item.arguments)) for item in output]


async def test_a_call_with_its_arguments_is_made_exactly_so():
    odd = {"text": 'a "b" {c}\n\u2028 😀 due 2026-01-01', "tag": None, "more": [1, {"x": 1.5}]}
    assert await calls(exactly("add_note", **odd)) == [("add_note", odd)]
    assert await calls(f"  {exactly('roll_dice')}  \r\n") == [("roll_dice", {})]
    long = {"text": "x y " * 30_000}
    assert await calls(exactly("add_note", **long)) == [("add_note", long)]


async def test_a_call_on_each_line_is_as_many_calls_at_once():
    message = "\n".join(
        ["Please:", exactly("add_note", text="a"), exactly("roll_dice"), exactly("add_note", text="a")]
    )
    assert await calls(message) == [
        ("add_note", {"text": "a"}),
        ("roll_dice", {}),
        ("add_note", {"text": "a"}),
    ]


async def test_of_several_calls_none_is_made_if_one_cannot_be_read():
    said = await answer(f'{exactly("add_note", text="a")}\ncall roll_dice {{"sides": }}')
    assert "What follows `roll_dice` is not valid JSON" in said


async def test_a_call_of_what_is_not_there_is_none():
    assert "demo model" in await answer('call fly {"to": "moon"}')


async def test_what_was_called_to_the_letter_is_told_to_the_letter():
    given = after(
        f"{exactly('roll_dice')}\n{exactly('add_note', text='a')}",
        ("roll_dice", {}, "  two\nlines 😀"),
        ("add_note", {"text": "a"}, "Error: no."),
    )
    assert await answer(given) == (
        "The tool `roll_dice` answered:\n\n  two\nlines 😀\n\nThe tool `add_note` answered:\n\nError: no."
    )
    long = await answer(after(exactly("roll_dice"), ("roll_dice", {}, f"begin {'x' * 100_000} end")))
    assert len(long) < 21_000
    assert "begin" in long
    assert long.endswith("end")


@pytest.mark.parametrize(
    "text", ["hi", "two\n\n  lines", "add buy milk", "😀 \u202bשם\u202c", "echo: echo: x"]
)
async def test_an_echo_is_the_text(text):
    assert await answer(f"echo: {text}") == text


async def test_it_tells_what_all_tools_gave():
    given = [
        *after("roll dice", ("roll_dice", {}, "rolled 6")),
        {"role": "assistant", "content": "6"},
        {"role": "user", "content": "history?"},
    ]
    assert "rolled 6" in await answer(given)
    assert await answer("history?") == "No tool was called yet."


async def test_an_agent_is_handed_over_to_by_a_call_and_does_the_calls_that_it_can():
    message = f"call transfer_to_notes {{}}\n{exactly('add_note', text='buy milk')}"
    result = await Runner.run(team(), message, run_config=QUIET)
    assert result.last_agent.name == "notes"
    assert result.final_output.startswith("The tool `add_note` answered:")


# -- handoffs ----------------------------------------------------------------------------------------------


def team() -> Agent[Any]:
    notes = Agent(name="notes", instructions="x", model=DemoModel(), tools=[add_note, list_notes])
    money = Agent(name="money matters", instructions="x", model=DemoModel())
    notes.handoffs, money.handoffs = [money], [notes]
    return Agent(name="front", instructions="x", model=DemoModel(), handoffs=[notes, money])


@pytest.mark.parametrize(
    ("message", "agent"),
    [
        ("talk to notes", "notes"),
        ("Please hand me over to the notes agent.", "notes"),
        ("ask Money Matters about taxes", "money matters"),
        ("transfer me to money_matters", "money matters"),
        ("use transfer_to_notes", "notes"),
    ],
)
async def test_the_user_is_handed_over_and_back_only_when_asked(message, agent):
    result = await Runner.run(team(), message, run_config=QUIET)
    assert result.last_agent.name == agent
    assert f"You are talking to {agent} now." in result.final_output


async def test_the_agent_that_took_over_does_the_rest_of_what_was_asked():
    result = await Runner.run(team(), "ask the notes agent to add buy milk", run_config=QUIET)
    assert result.last_agent.name == "notes"
    assert result.final_output == "Done: I added “buy milk” to your list."


async def test_an_agent_that_does_not_exist_is_answered_with_those_that_do():
    result = await Runner.run(team(), "talk to the boss", run_config=QUIET)
    assert "notes, money matters" in result.final_output


# -- everything else ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["hello", "help", "How are you?", ""])
async def test_it_says_what_it_is_what_it_can_do_and_how_to_get_a_real_model(message):
    said = await answer(message)
    assert "Chatrack's demo model" in said
    assert "no language model" in said
    for part in (
        "list my notes",
        "LLM_PROVIDER=openai",
        "OPENAI_API_KEY",
        "gemini_provider",
        "GEMINI_API_KEY",
    ):
        assert part in said


async def test_what_it_offers_as_an_example_it_understands():
    said = await answer("help")
    examples = [line.removeprefix("- ").strip("`") for line in said.splitlines() if line.startswith("- ")]
    assert len(examples) >= 5
    for example in examples:
        assert isinstance(await answer(example), tuple), example


async def test_it_gives_titles():
    options = {"tools": (), "instructions": "Give a title of at most six words for a conversation."}
    assert await answer("please add buy milk to my list of things", **options) == "Please add buy milk to my"
    assert await answer("éclair?", **options) == "Éclair"
    assert await answer("", **options) == "New conversation"
    assert "demo model" in await answer("hello", instructions="Talk about the title.")


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


ODD = [
    "",
    " ",
    "\x00",
    "\ud800",
    "add \ud800",
    'use roll_dice {"sides": "\\ud800"}',
    "use roll_dice " + nested(100_000).replace("[", '{"a":').replace("]", "}"),
    "!" * 100_000,
    "add " + "to my list " * 5000,
    "mark " + "a " * 50_000,
    "rename " + "a to " * 5000,
    "please " * 10_000,
    '"' * 5000,
    [],
    None,
    7,
    {"role": "user"},
    [None, 1, "hello", []],
    [{}],
    [{"role": "user"}],
    [{"role": "user", "content": None}],
    [{"role": "user", "content": 7}],
    [{"role": "user", "content": [None, 7, {}, {"text": 7}, {"type": "input_image", "image_url": "x"}]}],
    [{"role": "user", "content": [["text"]]}],
    [{"type": "function_call_output", "call_id": "x", "output": "orphan"}],
    [{"type": "function_call_output"}],
    [{"type": "function_call", "arguments": "{"}, {"type": "function_call_output", "output": {"a": 1}}],
    after("delete x", ("list_notes", {}, nested(100_000))),
    after("delete x", ("list_notes", {}, '{"a": [null, 1, {"text": null}, [], "x"]}')),
    after("list notes", ("list_notes", {}, '[null, 1, {"text": 7}, [], "x"]')),
    after("list notes", ("list_notes", {}, '{"total": "many", "notes": []}')),
    after("list notes", ("list_notes", {}, "9" * 10_000)),
    after("talk to x", ("transfer_to_x", {}, '{"assistant": 7}')),
]


@pytest.mark.parametrize("given", ODD, ids=range(len(ODD)))
async def test_odd_input_gets_an_answer(given):
    async with asyncio.timeout(2):
        events = await stream(given)
    assert events[-1].type == "response.completed"
    events[-1].model_dump_json().encode()


async def test_odd_schemas_are_read_as_far_as_they_go():
    odd: list[Any] = [
        {},
        {"properties": None},
        {"properties": {"a": True, "b": {"type": ["string", "null"]}}, "required": "a"},
        {
            "properties": {"id": {"$ref": "#/$defs/Id"}},
            "required": ["id"],
            "$defs": {"Id": {"type": "string"}},
        },
        {"properties": {"x": {"anyOf": [{"const": "a"}, {"enum": [1, None]}, 5]}}, "required": ["x"]},
    ]
    for schema in odd:
        tool = function_tool(lambda: "ok", name_override="delete_thing", strict_mode=False)
        tool.params_json_schema = schema
        for message in ("delete x", "delete id 7", "use delete_thing", "delete thing", "help"):
            assert await answer(message, tools=[tool])
