"""The list kept by the demo model, through the Agents SDK, over a database of each kind."""

import pytest
from agents import Agent, RunConfig, Runner

from chatrack import User
from chatrack.builtin.demo.model import DemoModel

ADA = User(id="ada")


@pytest.fixture
def say(tools, turn):
    """Say something in a new conversation; the answer, and the tools that were called."""
    agent = Agent(name="todo", instructions="Keep the list.", model=DemoModel(), tools=list(tools.values()))

    async def run(message, user=ADA):
        result = Runner.run_streamed(
            agent, message, context=turn(user), run_config=RunConfig(tracing_disabled=True)
        )
        async for _ in result.stream_events():
            pass
        called = [item.raw_item.name for item in result.new_items if item.type == "tool_call_item"]
        return result.final_output, called

    return run


async def titles(use, **arguments):
    return [todo["title"] for todo in (await use("list_todos", **arguments))["todos"]]


async def test_it_adds(say, use):
    assert await say("add buy milk to my todos") == (
        "Done: I added “buy milk” to your list.",
        ["create_todo"],
    )
    assert await titles(use) == ["buy milk"]


async def test_it_lists(say, use):
    assert (await say("list my todos"))[0] == "There are no todos."
    await use("create_todo", title="buy milk")
    await use("create_todo", title="pay rent", priority=3, due_at="2026-12-01")
    answer, called = await say("What are my todos?")
    assert called == ["list_todos"]
    assert answer.splitlines() == [
        "Here are your todos:",
        "",
        "- pay rent (pending, priority 3, due 2026-12-01)",
        "- buy milk (pending)",
    ]


@pytest.mark.parametrize(
    "order",
    ["complete Buy MILK", "finish milk", "check off buy milk", "done with buy milk", "mark buy milk as done"],
)
async def test_it_looks_up_what_is_to_be_completed(say, use, order):
    for title in ("buy bread", "buy milk", "call mom"):
        await use("create_todo", title=title)
    assert await say(order) == ("Done: “buy milk” is completed.", ["list_todos", "complete_todo"])
    assert await titles(use, status="completed") == ["buy milk"]


async def test_it_looks_up_what_is_to_be_deleted(say, use):
    await use("create_todo", title="buy milk")
    await use("create_todo", title="call mom")
    assert await say("please remove buy milk from my list!") == (
        "Done: I deleted “buy milk”.",
        ["list_todos", "delete_todo"],
    )
    assert await titles(use) == ["call mom"]


async def test_it_looks_up_what_is_to_be_renamed(say, use):
    await use("create_todo", title="go to gym")
    answer, called = await say("rename go to gym to go swimming")
    assert called == ["list_todos", "update_todo"]
    assert "go swimming" in answer
    assert await titles(use) == ["go swimming"]


async def test_it_looks_through_all_pages(say, use):
    await use("create_todo", title="the oldest")
    for number in range(45):
        await use("create_todo", title=f"todo {number}")
    answer, called = await say("complete the oldest")
    assert called == ["list_todos", "list_todos", "list_todos", "complete_todo"]
    assert answer == "Done: “the oldest” is completed."


async def test_it_says_what_there_is_if_nothing_matches(say, use):
    assert "there is nothing on the list" in (await say("complete buy milk"))[0]
    await use("create_todo", title="call mom")
    answer, called = await say("delete buy milk")
    assert called == ["list_todos"]
    assert "“buy milk”" in answer
    assert "“call mom”" in answer


async def test_it_passes_on_what_a_tool_refuses(say, use):
    answer, called = await say("add " + "x" * 300)
    assert called == ["create_todo"]
    assert answer.startswith("I am sorry, that did not work: title must be 1 to 200 characters long")
    assert await titles(use) == []


async def test_it_cannot_reach_the_list_of_somebody_else(say, use):
    await use("create_todo", title="secret")
    answer, _ = await say("delete secret", User(id="bob"))
    assert "there is nothing on the list" in answer
    assert await titles(use) == ["secret"]
