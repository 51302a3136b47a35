"""What each tool does, and what it says when it cannot."""

import asyncio
import re

import pytest

from chatrack import User

not_about_the_database = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True, scope="session")
"""Runs a test over SQLite alone: what it is about is decided before a statement is sent."""

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@not_about_the_database
async def test_the_tools_have_exactly_these_names_and_arguments(tools):
    assert {name: list(tool.params_json_schema["properties"]) for name, tool in tools.items()} == {
        "create_todo": ["title", "description", "priority", "due_at"],
        "list_todos": ["status", "priority", "limit", "offset"],
        "update_todo": ["todo_id", "title", "description", "status", "priority", "due_at"],
        "complete_todo": ["todo_id"],
        "delete_todo": ["todo_id"],
    }
    assert all(tool.description for tool in tools.values())


async def test_a_new_todo_is_pending_and_shows_no_empty_fields(use):
    todo = await use("create_todo", title="  buy milk ")
    assert todo["id"].startswith("todo_")
    assert len(todo["id"]) == len("todo_") + 32
    assert UTC_TIME.fullmatch(todo["created_at"])
    assert todo == {
        "id": todo["id"],
        "title": "buy milk",
        "status": "pending",
        "priority": 0,
        "created_at": todo["created_at"],
        "updated_at": todo["created_at"],
    }


async def test_everything_that_was_given_comes_back(use):
    given = {"title": "ship", "description": "with\nlines", "priority": 5, "due_at": "2026-12-01"}
    todo = await use("create_todo", **given)
    assert {name: todo[name] for name in given} == given
    assert (await use("list_todos"))["todos"] == [todo]


@not_about_the_database
async def test_what_a_strict_schema_makes_null_counts_as_not_given(use):
    todo = await use("create_todo", title="a", description=None, priority=0, due_at=None)
    changed = await use(
        "update_todo",
        todo_id=todo["id"],
        title="b",
        description=None,
        status=None,
        priority=None,
        due_at=None,
    )
    assert changed["title"] == "b"
    assert "description" not in changed


@not_about_the_database
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        ("2026-12-01T09:00:00+02:00", "2026-12-01T07:00:00Z"),
        ("2026-12-01T00:30+01:00", "2026-11-30T23:30:00Z"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00Z"),
        (" 2026-12-01 ", "2026-12-01"),
    ],
)
async def test_a_due_date_stays_a_date_and_a_due_time_becomes_utc(use, given, kept):
    assert (await use("create_todo", title="a", due_at=given))["due_at"] == kept


@not_about_the_database
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"title": ""}, "title must be 1 to 200 characters long"),
        ({"title": " \n "}, "title must be 1 to 200 characters long"),
        ({"title": "\x00\x07"}, "title must be 1 to 200 characters long"),
        ({"title": "x" * 201}, "title must be 1 to 200 characters long, and this one has 201"),
        ({"title": "a", "description": "x" * 1001}, "description must be at most 1000 characters"),
        ({"title": "a", "priority": -1}, "priority must be a whole number from 0 (none) to 5 (highest)"),
        ({"title": "a", "priority": 6}, "priority must be a whole number from 0 (none) to 5 (highest)"),
        ({"title": "a", "priority": 10**30}, "priority must be"),
        ({"title": "a", "due_at": "tomorrow"}, "due_at must be an ISO 8601 date"),
        ({"title": "a", "due_at": "2026-13-01"}, "due_at must be an ISO 8601 date"),
        ({"title": "a", "due_at": "0001-01-01T00:00:00+10:00"}, "due_at must be an ISO 8601 date"),
        ({"title": "a", "due_at": "\x00"}, "due_at must be an ISO 8601 date"),
        ({"title": 7}, "title: "),
        ({"title": "a", "priority": "high"}, "priority: "),
        ({}, "title: "),
    ],
)
async def test_what_cannot_be_created_is_explained_and_not_kept(use, arguments, told):
    answer = await use("create_todo", **arguments)
    assert answer.startswith(f"Error: {told}")
    assert (await use("list_todos"))["total"] == 0


async def test_the_bounds_themselves_are_allowed(use):
    todo = await use("create_todo", title="x" * 200, description="y" * 1000, priority=5)
    assert (len(todo["title"]), len(todo["description"])) == (200, 1000)
    assert (await use("list_todos", limit=1))["limit"] == 1
    assert (await use("list_todos", limit=100))["limit"] == 100


@not_about_the_database
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"limit": 0}, "limit must be a whole number from 1 to 100"),
        ({"limit": 101}, "limit must be a whole number from 1 to 100"),
        ({"offset": -1}, "offset must be a whole number from 0 to 1000000"),
        ({"offset": 10**30}, "offset must be a whole number from 0 to 1000000"),
        ({"priority": 6}, "priority must be"),
        ({"status": "late"}, "status: "),
    ],
)
async def test_what_cannot_be_listed_is_explained(use, arguments, told):
    assert (await use("list_todos", **arguments)).startswith(f"Error: {told}")


@not_about_the_database
async def test_a_status_that_does_not_exist_is_answered_with_those_that_do(use):
    answer = await use("list_todos", status="late")
    assert all(status in answer for status in ("pending", "in_progress", "completed"))


async def test_unicode_is_kept_and_control_characters_are_not(use, tools):
    title = "買い牛乳 👩‍👩‍👧 e\u0301 עברית"
    todo = await use("create_todo", title=title, description="a\x00b\x1b[31m\tc\nd")
    assert todo["title"] == title
    assert todo["description"] == "ab[31m\tc\nd"
    assert (await use("create_todo", title="two\nlines\x7f"))["title"] == "two lines"
    assert (await use("list_todos"))["todos"][1]["title"] == title


async def test_half_a_character_is_refused_or_dropped_and_never_a_crash(use):
    answers = [await use("create_todo", title="a\ud800b"), await use("delete_todo", todo_id="\ud800")]
    assert not any("reason of its own" in str(answer) for answer in answers)


async def test_sql_in_a_title_is_a_title(use):
    title = "'); DROP TABLE todo_tools_todos; --"
    await use("create_todo", title=title)
    assert [todo["title"] for todo in (await use("list_todos"))["todos"]] == [title]


async def test_lists_are_newest_first_and_come_in_pages(use):
    for number in range(25):
        await use("create_todo", title=f"todo {number}")
    first = await use("list_todos")
    assert [todo["title"] for todo in first["todos"]] == [f"todo {number}" for number in range(24, 4, -1)]
    assert {name: first[name] for name in ("total", "limit", "offset", "has_more")} == {
        "total": 25,
        "limit": 20,
        "offset": 0,
        "has_more": True,
    }
    rest = await use("list_todos", offset=20)
    assert [todo["title"] for todo in rest["todos"]] == [f"todo {number}" for number in range(4, -1, -1)]
    assert (rest["has_more"], rest["total"]) == (False, 25)
    assert (await use("list_todos", offset=100)) == {
        "todos": [],
        "total": 25,
        "limit": 20,
        "offset": 100,
        "has_more": False,
    }


async def test_lists_can_be_narrowed_by_status_and_priority(use):
    for title, priority in (("a", 1), ("b", 2), ("c", 2)):
        todo = await use("create_todo", title=title, priority=priority)
    await use("complete_todo", todo_id=todo["id"])
    assert [todo["title"] for todo in (await use("list_todos", priority=2))["todos"]] == ["c", "b"]
    assert [todo["title"] for todo in (await use("list_todos", status="pending"))["todos"]] == ["b", "a"]
    narrowed = await use("list_todos", status="completed", priority=2, limit=1)
    assert ([todo["title"] for todo in narrowed["todos"]], narrowed["total"]) == (["c"], 1)


async def test_an_update_changes_what_is_given_and_nothing_else(use):
    todo = await use("create_todo", title="a", description="d", priority=1, due_at="2026-12-01")
    changed = await use("update_todo", todo_id=todo["id"], title="b", priority=0, status="in_progress")
    assert changed["updated_at"] >= todo["updated_at"]
    assert changed == todo | {
        "title": "b",
        "priority": 0,
        "status": "in_progress",
        "updated_at": changed["updated_at"],
    }


async def test_an_empty_description_or_due_date_is_removed(use):
    todo = await use("create_todo", title="a", description="d", due_at="2026-12-01")
    changed = await use("update_todo", todo_id=todo["id"], description="", due_at="")
    assert not {"description", "due_at"} & set(changed)


@not_about_the_database
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "there is nothing to change"),
        ({"title": None, "status": None}, "there is nothing to change"),
        ({"title": " "}, "title must be"),
        ({"title": "x" * 201}, "title must be"),
        ({"description": "x" * 1001}, "description must be"),
        ({"priority": 6}, "priority must be"),
        ({"due_at": "soon"}, "due_at must be"),
        ({"status": "gone"}, "status: "),
    ],
)
async def test_an_update_that_cannot_be_is_explained_and_changes_nothing(use, changes, told):
    todo = await use("create_todo", title="a")
    assert (await use("update_todo", todo_id=todo["id"], **changes)).startswith(f"Error: {told}")
    assert (await use("list_todos"))["todos"] == [todo]


async def test_completing_twice_is_completing_once(use):
    todo = await use("create_todo", title="a")
    once = await use("complete_todo", todo_id=todo["id"])
    assert once["status"] == "completed"
    assert UTC_TIME.fullmatch(once["completed_at"])
    assert await use("complete_todo", todo_id=todo["id"]) == once
    assert await use("update_todo", todo_id=todo["id"], status="completed") == once


async def test_a_todo_that_is_taken_up_again_is_not_completed_any_more(use):
    todo = await use("create_todo", title="a")
    await use("complete_todo", todo_id=todo["id"])
    again = await use("update_todo", todo_id=todo["id"], status="pending")
    assert again["status"] == "pending"
    assert "completed_at" not in again


async def test_a_deleted_todo_is_gone(use):
    todo = await use("create_todo", title="a")
    deleted = await use("delete_todo", todo_id=f" {todo['id']} ")
    assert deleted == {"id": todo["id"], "title": "a", "deleted": True}
    assert (await use("list_todos"))["total"] == 0
    assert "there is no todo" in await use("delete_todo", todo_id=todo["id"])


BY_ID = [("update_todo", {"title": "mine now"}), ("complete_todo", {}), ("delete_todo", {})]


async def test_an_unknown_id_is_answered_with_an_error_that_names_it(use):
    await use("create_todo", title="a")
    for unknown in ("todo_1", "", "x" * 500, "\x00", "ü", "%", "' OR 1=1 --"):
        for tool, arguments in BY_ID:
            answer = await use(tool, todo_id=unknown, **arguments)
            assert answer.startswith("Error: there is no todo with the id “"), (tool, unknown)
            assert len(answer) < 120, (tool, unknown)
    assert (await use("list_todos"))["total"] == 1


STRANGERS = {
    "another user": User(id="bob"),
    "another tenant": User(id="ada", tenant_id="elsewhere"),
    "another case": User(id="ADA"),
    "another space": User(id="ada "),
}


async def test_nobody_changes_the_todos_of_somebody_else(use):
    todo = await use("create_todo", title="private")
    for name, stranger in STRANGERS.items():
        for tool, arguments in BY_ID:
            answer = await use(tool, stranger, todo_id=todo["id"], **arguments)
            assert answer == f"Error: there is no todo with the id “{todo['id']}”.", (name, tool)
            assert (await use("list_todos"))["todos"] == [todo], (name, tool)


async def test_everybody_has_a_list_of_their_own(use):
    users = [User(id="ada"), User(id="bob"), User(id="ada", tenant_id="elsewhere")]
    for number, user in enumerate(users):
        for _ in range(number + 1):
            await use("create_todo", user, title=f"of {user.tenant_id}/{user.id}")
    for number, user in enumerate(users):
        page = await use("list_todos", user)
        assert page["total"] == number + 1
        assert {todo["title"] for todo in page["todos"]} == {f"of {user.tenant_id}/{user.id}"}


async def test_fifty_todos_created_at_once_are_fifty_todos(use):
    made = await asyncio.gather(*(use("create_todo", title=f"todo {number}") for number in range(50)))
    assert len({todo["id"] for todo in made}) == 50
    page = await use("list_todos", limit=100)
    assert {todo["id"] for todo in page["todos"]} == {todo["id"] for todo in made}
    moments = [(todo["created_at"], todo["id"]) for todo in page["todos"]]
    assert moments == sorted(moments, reverse=True)


async def test_changes_at_once_all_arrive(use):
    todo = await use("create_todo", title="a")
    await asyncio.gather(
        use("update_todo", todo_id=todo["id"], priority=3),
        use("update_todo", todo_id=todo["id"], description="d"),
        use("complete_todo", todo_id=todo["id"]),
    )
    (now,) = (await use("list_todos"))["todos"]
    assert (now["priority"], now["description"], now["status"]) == (3, "d", "completed")


async def test_a_database_that_is_away_is_an_apology_and_not_a_crash(use, database):
    await database.stop()
    assert (await use("list_todos")).startswith("Error: the tool failed")
