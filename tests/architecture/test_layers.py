"""Dependencies of core point one way; imports for type checkers and late imports count like any other."""

import ast
import re

from tests.architecture.source_tree import (
    CORE,
    CORE_FILES,
    MODULES,
    ROOT,
    imports_of,
    module_of,
    relative,
    tree_of,
)

LAYERS = (
    # From the bottom to the top: a layer may import those before it, and itself. A module belongs to the
    # layer with the longest matching name.
    "errors",
    "ids",  # ids, hosts, clock, logs and the audit log know nothing of Chatrack
    "hosts",
    "entry_points",
    "clock",
    "logs",
    "audit",
    "settings",
    "sql.backends",  # connections to databases know nothing of threads;
    "sql.functions",
    "sql.database",  # the interfaces of stores and migrations name the database that they use
    "interfaces",  # what plugins implement and are given
    "models",  # models behind endpoints that speak OpenAI's APIs
    "sql",  # one implementation of the store's interface, and what plugins with tables use
    "testing",  # what plugins' own tests use; nothing else imports it
    "hookspecs",
    "config",
    "limits",  # knows the store's interface, and neither turns nor HTTP
    "files",  # knows the interfaces of both stores, and neither turns nor HTTP
    "plugins",
    "assembly",
    "chat.requests",
    "chat.errors",
    "chat.turns",  # knows neither agents nor the server
    "chat.agents",
    "chat.actions",
    "chat.queries",
    "chat.turn_builder",
    "chat.server",
    "chat",
    "http",
    "cli",
    "__main__",
)


def layer_of(module: str) -> str | None:
    name = module.removeprefix("chatrack.")
    matching = [layer for layer in LAYERS if name == layer or name.startswith(f"{layer}.")]
    return max(matching, key=len, default=None)


def test_every_module_of_core_belongs_to_a_layer():
    modules = [module for path in CORE_FILES if (module := module_of(path)) != "chatrack"]
    assert {layer_of(module) for module in modules} == set(LAYERS)


def test_dependencies_of_core_point_one_way():
    wrong = []
    for path in CORE_FILES:
        module = module_of(path)
        if module == "chatrack":
            continue  # gathers names from all over, when they are first used: see the next test
        below = LAYERS[: LAYERS.index(layer_of(module)) + 1]
        wrong += [
            f"{relative(path)}:{imported.line}: {module} imports {imported.module}"
            for imported in imports_of(path)
            if imported.module.startswith("chatrack.") and layer_of(imported.module) not in below
        ]
    assert not wrong


def test_nothing_imports_the_contract_suites():
    wrong = [
        f"{relative(path)}:{imported.line}: {module} imports {imported.module}"
        for module, path in MODULES.items()
        for imported in imports_of(path)
        if f"{imported.module}.".startswith("chatrack.testing.") and not module.startswith("chatrack.testing")
    ]
    assert not wrong


def test_the_package_itself_imports_nothing_of_its_own_at_run_time():
    own = [
        imported
        for imported in imports_of(CORE / "__init__.py")
        if imported.module.split(".")[0] == "chatrack"
    ]
    assert all(imported.typing_only for imported in own)


def test_core_uses_nothing_but_the_version_of_the_package_itself():
    wrong = []
    for path in CORE_FILES:
        for node in ast.walk(tree_of(path)):
            names: list[str] = []
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "chatrack"
            ):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom) and node.module == "chatrack":
                names = [alias.name for alias in node.names]
            wrong += [
                f"{relative(path)}: chatrack.{name}"
                for name in names
                if name != "__version__" and f"chatrack.{name}" not in MODULES
            ]
    assert not wrong


def test_core_never_imports_a_builtin_by_name():
    wrong = []
    for path in CORE_FILES:
        wrong += [
            f"{relative(path)}:{imported.line}"
            for imported in imports_of(path)
            if imported.module.startswith("chatrack.builtin")
        ]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                wrong += [f"{relative(path)}:{node.lineno}"] * bool(
                    re.fullmatch(r"chatrack\.builtin[\w.:]*", node.value)
                )
    assert not wrong


def rings(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the largest sets of modules of which each is reached from each."""
    reached: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        queue = [module]
        while queue:
            new = graph[queue.pop()] - seen
            seen |= new
            queue += new
        reached[module] = seen
    found: list[set[str]] = []
    for module in graph:
        ring = {other for other in reached[module] if module in reached[other]}
        if ring and ring not in found:
            found.append(ring)
    return found


def test_rings_are_found():
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert rings({"a": {"b"}, "b": set(), "c": {"c"}}) == [{"c"}]


def test_modules_do_not_import_each_other_in_rings():
    graph = {
        module: {imported.module for imported in imports_of(path) if imported.module in MODULES}
        for module, path in MODULES.items()
    }
    assert not rings(graph)


def test_core_has_no_driver_of_a_database_server():
    """Plugins bring the drivers, with the backends that use them."""
    drivers = re.compile(r"asyncpg|asyncmy|psycopg|pymysql", re.IGNORECASE)
    metadata = (ROOT / "core" / "pyproject.toml").read_text(encoding="utf-8")
    modules = {imported.module for path in CORE_FILES for imported in imports_of(path)}
    assert not [name for name in [metadata, *modules] if drivers.search(name)]
