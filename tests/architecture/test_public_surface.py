"""Built-ins and plugins are guests: they import what is public, and not each other."""

from tests.architecture.source_tree import CORE, GUESTS, PLUGINS, imports_of, module_of, relative

PUBLIC = (
    "chatrack",
    "chatrack.audit",
    "chatrack.interfaces",
    "chatrack.models",
    "chatrack.settings",
    "chatrack.sql",
    "chatrack.testing",
)
"""What built-ins and plugins may import: names in these modules, not modules below them."""


def test_builtins_and_plugins_import_only_the_public_surface():
    wrong = []
    for path in GUESTS:
        own = "chatrack.builtin" if path.is_relative_to(CORE) else module_of(path).split(".")[0]
        for imported in imports_of(path):
            if imported.module == own or imported.module.startswith(f"{own}."):
                continue
            if imported.module.split(".")[0] == "chatrack" and imported.module not in PUBLIC:
                wrong.append(f"{relative(path)}:{imported.line}: {imported.module} is not public")
    assert not wrong


def test_plugins_never_import_each_other():
    wrong = []
    for path in GUESTS:
        own = module_of(path).split(".")[0]
        others = {folder.name for folder in PLUGINS} - {own}
        for imported in imports_of(path):
            parts = imported.module.split(".")
            clash = parts[0] in others
            if own == "chatrack" and parts[:2] == ["chatrack", "builtin"] and len(parts) > 2:
                # A built-in is a module, with at most one package, whose name is the beginning of the module's.
                plugin = path.relative_to(CORE / "builtin").parts[0].removesuffix(".py")
                clash = not (plugin.startswith(parts[2]) or parts[2].startswith(plugin))
            if clash:
                wrong.append(f"{relative(path)}:{imported.line}: imports {imported.module}")
    assert not wrong
