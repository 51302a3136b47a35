"""Settings: tables of config.toml as typed structs, with references, and every mistake named."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from chatrack import ConfigError, Secret, Settings
from chatrack.config import AgentTable, ChatTable, ServerTable, load_config
from chatrack.settings import Problems, Source, decode, from_env, load_source

SECRET = "sk-never-to-be-seen"


class Pool(Settings):
    size: Annotated[int, msgspec.Meta(ge=1)] = 5
    dsn: Secret | None = None
    folder: Path = Path("pool")


class Everything(Settings):
    name: str = "x"
    count: int = 1
    bounded: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    ratio: float = 0.5
    on: bool = False
    words: list[str] = []
    numbers: list[int] = []
    frozen: frozenset[str] = frozenset()
    level: Literal["low", "high"] = "low"
    levels: list[Literal["low", "high"]] = []
    maybe: str | None = None
    key: Secret | None = None
    keys: list[Secret] = []
    path: Path = Path("data/file.txt")
    other: Path | None = None
    pool: Pool = Pool()
    maybe_pool: Pool | None = None
    pools: dict[str, Pool] = {}
    limits: dict[str, int] = {}
    free: dict[str, Any] = {}
    from_variable: Annotated[int, from_env("FROM_VARIABLE")] = 7
    secret_from_variable: Annotated[Secret | None, from_env("SECRET_FROM_VARIABLE")] = None


class Needy(Settings):
    account: str
    size: int
    key: Secret


@pytest.fixture
def problems() -> Problems:
    return Problems("config.toml")


@pytest.fixture
def read(tmp_path: Path, problems: Problems):
    """Decode a table that has no mistakes."""

    def read_table(table: dict, cls: type = Everything, **environ: str) -> Any:
        source = Source(file="config.toml", folder=tmp_path, environ=environ)
        settings = decode(cls, table, key="plugins.demo", source=source, problems=problems)
        assert problems.lines == []
        assert isinstance(settings, cls)
        return settings

    return read_table


@pytest.fixture
def refused(tmp_path: Path, problems: Problems):
    """Decode a table that has mistakes, and return the lines that report them."""

    def read_table(table: Any, cls: type = Everything, **environ: str) -> list[str]:
        source = Source(file="config.toml", folder=tmp_path, environ=environ)
        assert decode(cls, table, key="plugins.demo", source=source, problems=problems) is None
        with pytest.raises(ConfigError) as caught:
            problems.raise_if_any()
        assert caught.value.lines == problems.lines
        for line in problems.lines:
            assert line.startswith("config.toml: plugins.demo")
            assert SECRET not in line
            assert "\n" not in line
        return problems.lines

    return read_table


# -- references ----------------------------------------------------------------------------------------


def test_a_reference_to_a_variable_takes_its_value(read):
    assert read({"name": {"env": "NAME"}}, NAME="from the environment").name == "from the environment"


def test_a_default_stands_in_for_an_unset_variable_and_only_then(read):
    table = {"name": {"env": "NAME", "default": "fallback"}}
    assert read(table).name == "fallback"
    assert read(table, NAME="").name == "fallback"
    assert read(table, NAME="set").name == "set"


def test_a_default_has_the_type_of_the_setting_and_is_not_coerced(read, refused):
    assert read({"words": {"env": "WORDS", "default": ["a", "b"]}}).words == ["a", "b"]
    assert refused({"count": {"env": "COUNT", "default": "8000"}}) == [
        "config.toml: plugins.demo.count: expected `int`, got `str`"
    ]


def test_a_reference_to_a_file_takes_its_text_without_the_last_newline(read, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "key").write_text(f"{SECRET}\r\n")
    assert read({"key": {"file": "run/key"}}).key.reveal() == SECRET
    assert read({"key": {"file": str(tmp_path / "run" / "key")}}).key.reveal() == SECRET


def test_text_of_a_file_is_coerced_too(read, tmp_path):
    (tmp_path / "count").write_text("12\n")
    (tmp_path / "words").write_text("a, b\n")
    settings = read({"count": {"file": "count"}, "words": {"file": "words"}})
    assert (settings.count, settings.words) == (12, ["a", "b"])


@pytest.mark.parametrize("name", ["absent", "variable"])
def test_a_file_that_cannot_be_read_is_an_error_also_for_an_optional_setting(refused, name):
    [line] = refused({"key": {"file": name}})
    assert line.startswith("config.toml: plugins.demo.key: ")
    assert name in line


def test_a_file_that_is_not_text_is_an_error(refused, tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    [line] = refused({"key": {"file": "key"}})
    assert "UTF-8" in line


@pytest.mark.parametrize("name", [5, "", ["A"]])
def test_a_reference_to_something_that_is_no_name_is_an_error(refused, name):
    [line] = refused({"maybe": {"env": name}})
    assert line.startswith("config.toml: plugins.demo.maybe: ")


@pytest.mark.parametrize("value", ["", None])
def test_an_unset_variable_without_default_is_an_error_that_names_it_if_the_setting_is_required(
    refused, value
):
    environ = {} if value is None else {"ACCOUNT": value}
    table = {"account": {"env": "ACCOUNT"}, "size": 1, "key": "x"}
    assert refused(table, Needy, **environ) == [
        "config.toml: plugins.demo.account: the environment variable ACCOUNT is not set"
    ]


@pytest.mark.parametrize("environ", [{}, {"NAME": ""}])
def test_an_unset_variable_without_default_leaves_an_optional_setting_absent(read, environ, tmp_path):
    reference = {"env": "NAME"}
    table = dict.fromkeys(("name", "count", "maybe", "key", "words", "pool", "path"), reference)
    settings = read(table, **environ)
    assert settings == read({})
    assert settings.path == tmp_path / "data/file.txt"


def test_elements_of_lists_and_tables_may_be_references(read):
    table = {
        "words": ["a", {"env": "WORD"}],
        "keys": [{"env": "KEY"}],
        "free": {"a": {"env": "WORD"}, "b": 1},
    }
    settings = read(table, WORD="b, c", KEY=SECRET)
    assert settings.words == ["a", "b, c"]
    assert [key.reveal() for key in settings.keys] == [SECRET]
    assert settings.free == {"a": "b, c", "b": 1}


def test_elements_from_the_environment_are_coerced(read):
    settings = read({"numbers": [1, {"env": "TWO"}], "limits": {"a": {"env": "TWO"}}}, TWO="2")
    assert settings.numbers == [1, 2]
    assert settings.limits == {"a": 2}


def test_an_unset_element_never_takes_those_that_are_set_with_it(tmp_path, problems):
    table = {"keys": [{"env": "OLD_KEY"}, {"env": "NEW_KEY"}], "free": {"a": {"env": "NEW_KEY"}, "b": 1}}
    source = Source(file="config.toml", folder=tmp_path, environ={"NEW_KEY": SECRET})
    settings = decode(Everything, table, key="", source=source, problems=problems)
    if settings is None:  # refusing is as good
        assert "OLD_KEY" in problems.lines[0]
    else:
        assert [key.reveal() for key in settings.keys] == [SECRET]
        assert settings.free["b"] == 1


@pytest.mark.parametrize(
    "table", [{"env": "A", "other": 1}, {"env": "A", "file": "b"}, {"file": "b", "default": 1}]
)
def test_what_looks_almost_like_a_reference_is_a_mistake_where_a_plain_value_is_expected(refused, table):
    [line] = refused({"name": table}, A="x")
    assert line.startswith("config.toml: plugins.demo.name: ")


# -- coercion ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("count", "42", 42),
        ("count", "-1", -1),
        ("bounded", "10", 10),
        ("ratio", "0.25", 0.25),
        ("ratio", "3", 3.0),
        ("on", "true", True),
        ("on", "1", True),
        ("on", "False", False),
        ("on", "0", False),
        ("words", "a", ["a"]),
        ("words", " a, b ,,c ", ["a", "b", "c"]),
        (
            "words",
            "http://localhost:3000,https://example.com",
            ["http://localhost:3000", "https://example.com"],
        ),
        ("numbers", "1,2, 3", [1, 2, 3]),
        ("frozen", "a,b,a", frozenset({"a", "b"})),
        ("level", "high", "high"),
        ("maybe", "null", "null"),
        ("name", "1", "1"),
    ],
)
def test_text_from_the_environment_is_coerced(read, setting, text, value):
    given = getattr(read({setting: {"env": "IT"}}, IT=text), setting)
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize(
    ("setting", "text", "expected"),
    [
        ("count", SECRET, "`int`"),
        ("bounded", "11", "`int` <= 10"),
        ("ratio", SECRET, "`float`"),
        ("on", SECRET, "`bool`"),
        ("numbers[1]", f"1,{SECRET}", "`int`"),
        ("level", "higj", 'one of "low", "high" (did you mean "high"?)'),
        ("levels[1]", f"low,{SECRET}", '"low", "high"'),
    ],
)
def test_text_that_cannot_be_coerced_says_what_was_expected(refused, setting, text, expected):
    [line] = refused({setting.partition("[")[0]: {"env": "IT"}}, IT=text)
    assert line.startswith(f"config.toml: plugins.demo.{setting}: ")
    assert expected in line


def test_text_in_the_file_is_not_coerced(refused):
    assert len(refused({"count": "42", "on": "true", "words": "a,b"})) == 3


# -- variables that a setting names itself -------------------------------------------------------------


def test_an_absent_setting_takes_its_variable(read):
    settings = read({}, FROM_VARIABLE="12", SECRET_FROM_VARIABLE=SECRET)
    assert settings.from_variable == 12
    assert settings.secret_from_variable.reveal() == SECRET


def test_a_setting_in_the_file_wins_over_its_variable(read):
    assert read({"from_variable": 3}, FROM_VARIABLE="12").from_variable == 3


@pytest.mark.parametrize("environ", [{}, {"FROM_VARIABLE": "", "SECRET_FROM_VARIABLE": ""}])
def test_without_its_variable_a_setting_has_its_default(read, environ):
    settings = read({}, **environ)
    assert settings.from_variable == 7
    assert settings.secret_from_variable is None


def test_a_variable_with_a_wrong_value_is_an_error_of_the_setting(refused):
    assert refused({}, FROM_VARIABLE=SECRET) == [
        "config.toml: plugins.demo.from_variable: expected `int`, got `str`"
    ]


def test_a_required_setting_without_its_variable_names_both(refused):
    class Required(Settings):
        token: Annotated[str, from_env("TOKEN")]

    assert refused({}, Required) == [
        "config.toml: plugins.demo.token: the environment variable TOKEN is not set"
    ]


# -- mistakes ------------------------------------------------------------------------------------------


def test_an_unknown_key_is_an_error_that_guesses_what_was_meant(refused):
    assert refused({"bonded": 1, "zzz": 1}) == [
        'config.toml: plugins.demo.bonded: unknown key (did you mean "bounded"?)',
        "config.toml: plugins.demo.zzz: unknown key",
    ]


def test_every_mistake_is_reported_with_its_key_and_what_was_expected(refused):
    table = {
        "cuont": 1,
        "bounded": 0,
        "words": ["a", 5],
        "pool": {"size": 0, "sise": 1, "dsn": 5},
        "pools": {"a": {"size": "x"}, "b c": {"sise": 1}},
        "maybe_pool": 5,
    }
    assert refused(table) == [
        'config.toml: plugins.demo.cuont: unknown key (did you mean "count"?)',
        "config.toml: plugins.demo.bounded: expected `int` >= 1",
        "config.toml: plugins.demo.words[1]: expected `str`, got `int`",
        'config.toml: plugins.demo.pool.sise: unknown key (did you mean "size"?)',
        "config.toml: plugins.demo.pool.size: expected `int` >= 1",
        "config.toml: plugins.demo.pool.dsn: expected `str`, got `int`",
        "config.toml: plugins.demo.maybe_pool: expected a table, got `int`",
        "config.toml: plugins.demo.pools.a.size: expected `int`, got `str`",
        'config.toml: plugins.demo.pools."b c".sise: unknown key (did you mean "size"?)',
    ]


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), "inf", "nan"])
def test_a_number_that_is_not_finite_is_a_mistake(refused, number):
    table = {"ratio": {"env": "RATIO"}} if isinstance(number, str) else {"ratio": number}
    assert refused(table, RATIO=str(number)) == ["config.toml: plugins.demo.ratio: expected a finite `float`"]


def test_a_missing_setting_is_an_error_if_it_is_required(refused):
    assert refused({}, Needy) == [
        f"config.toml: plugins.demo.{name}: missing; it is required" for name in ("account", "size", "key")
    ]


def test_the_key_of_a_wrong_entry_of_a_table_is_named(refused):
    [line] = refused({"limits": {"chat": 1, "upload": "many"}})
    assert "limits" in line
    assert "upload" in line
    assert "`int`" in line


def test_a_table_that_is_none_is_an_error(refused):
    assert refused([1]) == ["config.toml: plugins.demo: expected a table, got `array`"]


@pytest.mark.parametrize("setting", ["pools", "limits", "free"])
def test_a_plain_value_in_place_of_a_table_is_an_error(refused, setting):
    [line] = refused({setting: 5})
    assert line.startswith(f"config.toml: plugins.demo.{setting}: expected ")
    assert "table" in line


def test_a_check_of_the_struct_itself_is_reported(refused):
    class Checked(Settings):
        low: int = 1
        high: int = 2

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    assert refused({"low": 3}, Checked) == ["config.toml: plugins.demo: low is above high"]


# -- nested tables and paths ---------------------------------------------------------------------------


def test_nested_tables_are_decoded_with_their_references(read):
    table = {
        "pool": {"size": {"env": "SIZE"}},
        "pools": {"a": {"dsn": {"env": "DSN"}}, "b": {}},
        "maybe_pool": {},
    }
    settings = read(table, SIZE="9", DSN=SECRET)
    assert settings.pool.size == 9
    assert settings.pools["a"].dsn.reveal() == SECRET
    assert settings.pools["b"].size == 5
    assert settings.maybe_pool.size == 5


def test_paths_are_relative_to_the_config_file(read, tmp_path):
    settings = read({"path": "a/b.txt", "other": {"env": "OTHER"}, "pool": {"folder": "c"}}, OTHER="../d")
    assert settings.path == tmp_path / "a/b.txt"
    assert settings.other == tmp_path / "../d"
    assert settings.pool.folder == tmp_path / "c"
    assert read({"path": "/etc/x"}).path == Path("/etc/x")
    assert read({"path": "~/x"}).path == Path.home() / "x"


def test_paths_that_are_defaults_are_relative_to_the_config_file_too(read, tmp_path):
    assert read({}).path == tmp_path / "data/file.txt"
    assert read({"path": {"env": "UNSET"}}).path == tmp_path / "data/file.txt"
    assert read({"maybe_pool": {}}).maybe_pool.folder == tmp_path / "pool"
    assert read({"pools": {"a": {}}}).pools["a"].folder == tmp_path / "pool"


def test_paths_in_a_table_that_is_absent_are_relative_to_the_config_file_too(read, tmp_path):
    assert read({}).pool.folder == tmp_path / "pool"


# -- secrets -------------------------------------------------------------------------------------------


def test_a_secret_is_never_shown(read):
    secret = read({"key": SECRET}).key
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        format(secret, ""),
        str([secret]),
    ]
    shown += [str({"key": secret}), repr(ValueError(secret)), str(ValueError(secret))]
    assert all(SECRET not in text for text in shown)
    assert secret.reveal() == SECRET


def test_a_struct_does_not_show_its_secrets(read):
    table = {"key": SECRET, "keys": [SECRET], "pool": {"dsn": SECRET}, "pools": {"a": {"dsn": SECRET}}}
    settings = read(table, SECRET_FROM_VARIABLE=SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert "****" in repr(settings)


def test_a_secret_cannot_be_written_out_by_accident(read):
    settings = read({"key": SECRET})
    for write in (msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError) as caught:
            write(settings)
        assert SECRET not in str(caught.value)
    assert not hasattr(settings.key, "__dict__")


def test_secrets_are_compared_by_value():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@pytest.mark.parametrize(
    "table",
    [
        {"key": [SECRET]},
        {"key": {"value": SECRET}},
        {"keys": SECRET},
        {"keys": [[SECRET]]},
        {"pool": {"dsn": [SECRET]}},
        {"pool": SECRET},
        {"pools": {"a": SECRET}},
        {"pools": SECRET},
        {"count": SECRET},
        {"level": SECRET},
        {"levels": [SECRET]},
        {"path": [SECRET]},
        {"limits": {"a": SECRET}},
    ],
)
def test_a_value_of_the_wrong_type_is_not_shown(refused, table):
    assert refused(table)  # and SECRET is in none of the lines


def test_neither_the_error_nor_its_chain_shows_a_secret(refused, problems):
    refused({"count": SECRET, "level": {"env": "LEVEL"}}, LEVEL=SECRET)
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


# -- the files -----------------------------------------------------------------------------------------


def test_a_dotenv_file_beside_the_config_is_read_and_the_process_wins(tmp_path):
    (tmp_path / ".env").write_text("ONLY_HERE=1\nBOTH=file\n")
    source = load_source(tmp_path / "config.toml", {"BOTH": "process", "ONLY_THERE": "2"})
    assert dict(source.environ) == {"ONLY_HERE": "1", "BOTH": "process", "ONLY_THERE": "2"}
    assert source.file == "config.toml"
    assert source.folder == tmp_path


def test_without_an_environment_given_that_of_the_process_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATRACK_TEST_VARIABLE", "here")
    assert load_source(tmp_path / "config.toml").environ["CHATRACK_TEST_VARIABLE"] == "here"


def test_a_dotenv_file_does_not_change_the_process(tmp_path, monkeypatch):
    monkeypatch.delenv("CHATRACK_TEST_VARIABLE", raising=False)
    (tmp_path / ".env").write_text("CHATRACK_TEST_VARIABLE=1\n")
    load_source(tmp_path / "config.toml")
    assert "CHATRACK_TEST_VARIABLE" not in os.environ


def test_a_config_in_another_folder_has_the_dotenv_file_of_that_folder(tmp_path, monkeypatch):
    (tmp_path / "rack").mkdir()
    (tmp_path / "rack" / ".env").write_text("A=1\n")
    monkeypatch.chdir(tmp_path)
    source = load_source(Path("rack/config.toml"), {})
    assert source.environ["A"] == "1"
    assert source.folder == tmp_path / "rack"


def test_odd_lines_of_a_dotenv_file_do_no_harm(tmp_path):
    (tmp_path / ".env").write_text(
        "# a comment\n\nexport EXPORTED=1\nQUOTED=\"two words\"\nSINGLE='$HOME #x'\nBARE\n"
        "REFERENCE=$EXPORTED/${EXPORTED}\nTRAILING=x # why\nEQUALS=a=b\nEMPTY=\n  SPACED = y\n=nothing\n!!!\nLAST=z"
    )
    environ = load_source(tmp_path / "config.toml", {}).environ
    assert environ["EXPORTED"] == "1"
    assert environ["QUOTED"] == "two words"
    assert environ["SINGLE"] == "$HOME #x"
    assert environ["REFERENCE"] == "$EXPORTED/${EXPORTED}"
    assert environ["TRAILING"] == "x"
    assert environ["EQUALS"] == "a=b"
    assert environ["SPACED"] == "y"
    assert environ["LAST"] == "z"
    assert environ.get("EMPTY", "") == ""
    assert "BARE" not in environ


@pytest.mark.parametrize("content", [b"A=\xff\xfe", None])
def test_a_dotenv_file_that_cannot_be_read_is_a_plain_error(tmp_path, content):
    if content is None:
        (tmp_path / ".env").mkdir()
    else:
        (tmp_path / ".env").write_bytes(content)
    (tmp_path / "config.toml").write_text('enabled = ["sqlite_store"]\n')
    if content is None:
        load_config(tmp_path / "config.toml", {})  # a folder of that name is nobody's mistake
        return
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "config.toml", {})
    assert ".env" in str(caught.value)


def refused_file(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    [line] = caught.value.lines
    assert line.startswith(str(path))
    assert "\n" not in line
    return line


def test_a_missing_file_is_a_plain_error_that_says_how_to_name_one(tmp_path):
    assert "--config" in refused_file(tmp_path / "config.toml")


def test_a_folder_in_place_of_the_file_is_a_plain_error(tmp_path):
    refused_file(tmp_path)


def test_a_file_that_is_not_toml_is_a_plain_error_with_the_line(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("enabled = []\nserver = [\n")
    assert "TOML" in refused_file(path)
    path.write_text("enabled = []\nenabled = []\n")
    assert "line 2" in refused_file(path)


def test_a_file_that_is_not_utf8_is_a_plain_error(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes('enabled = ["café"]'.encode("latin-1"))
    assert "UTF-8" in refused_file(path)


def test_the_core_tables_have_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('enabled = ["sqlite_store"]\n')
    config, problems = load_config(path, {})
    assert problems.lines == []
    assert config.enabled == ["sqlite_store"]
    assert config.server.host == "127.0.0.1"
    assert config.server.path == "/chatkit/api"
    assert config.server.cors_origins == []
    assert config.server.domain_keys == []
    assert config.chat.agent is None
    assert config.chat.on_disconnect == "cancel"


def test_tables_of_plugins_are_kept_as_they_are_until_the_plugin_is_loaded(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('enabled = []\n[plugins.acme]\nkey = { env = "KEY" }\n[plugins."b c"]\n')
    config, problems = load_config(path, {})
    assert problems.lines == []
    assert config.plugins == {"acme": {"key": {"env": "KEY"}}, "b c": {}}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("plugins = 5", "plugins"),
        ("[plugins]\nacme = 5", "plugins.acme"),
        ("agents = 5", "agents"),
        ("[agents]\nhelper = 5", "agents.helper"),
        ("server = 5", "server"),
        ("[agents.helper]\ntools = 5", "agents.helper.tools"),
        ("[agents.helper]\nname = 'x'", "agents.helper.name"),
    ],
)
def test_a_wrong_core_table_is_reported_with_its_key(tmp_path, text, key):
    path = tmp_path / "config.toml"
    path.write_text(f"enabled = []\n{text}\n")
    _, problems = load_config(path, {})
    assert [line.split(": ")[:2] for line in problems.lines] == [["config.toml", key]]


@pytest.mark.parametrize(
    ("table", "line", "expected"),
    [
        ("server", "port = 99999", "expected `int` <= 65535"),
        ("server", "port = -1", "expected `int` >= 0"),
        ("server", "port = 80.5", "expected `int`, got `float`"),
        ("server", 'port = "80"', "expected `int`, got `str`"),
        ("server", 'host = ""', "expected `str` of length >= 1"),
        ("server", 'path = "chat"', 'expected a path such as "/chatkit/api"'),
        ("server", "workers = 0", "expected `int` >= 1"),
        ("server", "workers = 5000", "expected `int` <= 1024"),
        ("server", "max_body = 0", "expected `int` >= 1024"),
        ("server", "heartbeat = 0", "expected `float` > 0.0"),
        ("server", "stream_buffer = 1", "expected `int` >= 65536"),
        ("server", "shutdown_grace = -1", "expected `float` >= 0.0"),
        ("server", "domain_keys = ['']", "a key must not be empty"),
        ("chat", "max_audio = 0", "expected `int` >= 1"),
        ("chat", "history_tokens = 0", "expected `int` >= 256"),
        ("chat", "max_message = 0", "expected `int` >= 1"),
        ("chat", "max_title = -5", "expected `int` >= 1"),
        ("chat", "busy_wait = -0.5", "expected `float` >= 0.0"),
        ("chat", "lease = 0", "expected `float` >= 1.0"),
        ("chat", "checkpoint = 0", "expected `float` >= 0.05"),
        ("agents.x", "max_turns = 0", "expected `int` >= 1"),
    ],
)
def test_a_value_that_is_out_of_bounds_names_its_key(tmp_path, table, line, expected):
    path = tmp_path / "config.toml"
    path.write_text(f"enabled = []\n[{table}]\n{line}\n")
    _, problems = load_config(path, {})
    assert problems.lines == [f"config.toml: {table}.{line.partition(' ')[0]}: {expected}"]


def test_an_origin_that_is_none_names_its_place_in_the_list(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('enabled = []\n[server]\ncors_origins = ["https://a.example", "b.example", "*"]\n')
    _, problems = load_config(path, {})
    assert problems.lines == [
        'config.toml: server.cors_origins[1]: expected an origin such as "https://example.com", or "*" for all'
    ]


NUMBERS = [
    (name, field.name)
    for name, table in {"server": ServerTable, "chat": ChatTable, "agents.x": AgentTable}.items()
    for field in msgspec.structs.fields(table)
    if re.search(r"\b(int|float)\b", str(field.type)) and field.name != "model_settings"
]


@pytest.mark.parametrize(("table", "name"), NUMBERS)
@pytest.mark.parametrize("value", ["-1", "1e300", "inf", "-inf", "nan", "9223372036854775807"])
@pytest.mark.parametrize("given", ["in the file", "in the environment"])
def test_no_number_is_accepted_that_is_negative_or_too_large_or_none(tmp_path, table, name, value, given):
    path = tmp_path / "config.toml"
    shown = value if given == "in the file" else '{ env = "NUMBER" }'
    path.write_text(f"enabled = []\n[{table}]\n{name} = {shown}\n")
    _, problems = load_config(path, {"NUMBER": value})
    [line] = problems.lines
    assert line.startswith(f"config.toml: {table}.{name}: expected `")


def test_there_are_numbers_in_every_table():
    assert {("server", "port"), ("chat", "lease"), ("agents.x", "max_turns")} <= set(NUMBERS)


def test_a_check_of_the_class_itself_may_name_the_setting(refused):
    class Checked(Settings):
        low: int = 1
        high: int = 2

        def __post_init__(self) -> None:
            if self.low == self.high:
                raise ValueError("they are equal")
            if self.low > self.high:
                raise ValueError("high: expected more than `low`")

    assert refused({"low": 3}, Checked) == ["config.toml: plugins.demo.high: expected more than `low`"]


def test_a_check_of_the_class_itself_names_the_table_otherwise(refused):
    class Checked(Settings):
        low: int = 1

        def __post_init__(self) -> None:
            raise ValueError("they are: equal")

    assert refused({}, Checked) == ["config.toml: plugins.demo: they are: equal"]


def test_the_domain_key_of_the_environment_may_be_a_list(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('enabled = []\n[server]\ndomain_keys = { env = "CHATKIT_DOMAIN_KEY", default = [] }\n')
    config, _ = load_config(path, {"CHATKIT_DOMAIN_KEY": "old, new"})
    assert [key.reveal() for key in config.server.domain_keys] == ["old", "new"]
    config, _ = load_config(path, {})
    assert config.server.domain_keys == []
