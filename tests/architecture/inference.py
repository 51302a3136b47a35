"""Infers the types of expressions, as far as annotations and plain assignments go."""

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

UPSTREAM = (
    "agents",
    "aiosqlite",
    "alembic",
    "chatkit",
    "httpx2",
    "litestar",
    "logging",  # whose loggers belong to the libraries
    "openai",
    "pluggy",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "uvicorn",
)

_WRAPPERS = {"typing.Annotated", "typing.ClassVar", "typing.Optional"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_upstream(dotted: str | None) -> bool:
    return dotted is not None and dotted.split(".")[0] in UPSTREAM


class OwnClass(NamedTuple):
    """A class of ours: what it defines itself, what it inherits from, and the types of its attributes."""

    members: set[str]
    bases: list[str]
    types: dict[str, str]


class Code:
    """Modules of ours, by their names."""

    def __init__(self, modules: dict[str, ast.Module]) -> None:
        self.files = {module: File(module, tree) for module, tree in modules.items()}
        self.classes = {name: found for file in self.files.values() for name, found in file.classes().items()}
        self.members = {member for found in self.classes.values() for member in found.members}
        for file in self.files.values():
            file.code = self

    def origin(self, dotted: str) -> str:
        """Follow names that modules of ours only pass on."""
        for _ in range(10):
            module, _, name = dotted.rpartition(".")
            file = self.files.get(module)
            if file is None or name not in file.imported or dotted in self.classes:
                break
            dotted = file.imported[name]
        return dotted

    def has_member(self, dotted: str, name: str) -> bool:
        found = self.classes.get(self.origin(dotted))
        if found is None:
            return False
        return name in found.members or any(self.has_member(base, name) for base in found.bases)

    def type_of_member(self, dotted: str, name: str) -> str | None:
        found = self.classes.get(self.origin(dotted))
        if found is None:
            return None
        types = [found.types.get(name), *(self.type_of_member(base, name) for base in found.bases)]
        return next((known for known in types if known is not None), None)


class File:
    """One module."""

    code: Code

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module = module
        self.tree = tree
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    self.imported[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        self.own_members = {
            member for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for member in _members(node)
        }
        self._defined = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, *FUNCTIONS))}

    def dotted(self, node: ast.AST | None) -> str | None:
        """Return the full name of what an expression or annotation names."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(node, ast.Subscript):
            value = self.dotted(node.value)
            if value in _WRAPPERS:
                return self.dotted(node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice)
            return value  # a generic class
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):  # `X | None`
            return self.dotted(node.left)
        if isinstance(node, ast.Attribute):
            value = self.dotted(node.value)
            return None if value is None else f"{value}.{node.attr}"
        if isinstance(node, ast.Name):
            if node.id in self.imported:
                return None if self.imported[node.id] == "typing.Any" else self.imported[node.id]
            return f"{self.module}.{node.id}" if node.id in self._defined else None
        return None

    def classes(self) -> dict[str, OwnClass]:
        found = {}
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            types: dict[str, str] = {}
            parameters = _parameters(node)
            for part in ast.walk(node):
                if isinstance(part, ast.AnnAssign):
                    target, known = part.target, self.dotted(part.annotation)
                elif isinstance(part, ast.Assign) and len(part.targets) == 1:
                    target, known = part.targets[0], self._type_of_value(part.value, parameters.get(part, {}))
                elif isinstance(part, FUNCTIONS):
                    target, known = ast.Name(part.name), self.dotted(part.returns)
                else:
                    continue
                name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", None)
                if name is not None and known is not None:
                    types.setdefault(name, known)
            bases = [base for given in node.bases if (base := self.dotted(given)) is not None]
            found[f"{self.module}.{node.name}"] = OwnClass(_members(node), bases, types)
        return found

    def _type_of_value(self, value: ast.AST, parameters: dict[str, ast.expr | None]) -> str | None:
        if isinstance(value, ast.Name) and value.id in parameters:
            return self.dotted(parameters[value.id])
        return self.dotted(value.func) if isinstance(value, ast.Call) else None


class Scope:
    """What is known of the names in a function.

    Args:
        file: the module.
        owner: the class that the function belongs to, if any.
        types: the types of the names.
    """

    def __init__(self, file: File, owner: str | None, types: dict[str, str]) -> None:
        self.file = file
        self.owner = owner
        self.types = types
        self.aliases: dict[str, ast.expr] = {}
        """Names for attributes of other objects."""

    def learn(self, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for name, annotation in _annotations(function.args).items():
            known = self.file.dotted(annotation)
            self.types.pop(name, None)
            if known is not None:
                self.types[name] = known
        for node in _own_nodes(function):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                known = self.file.dotted(node.annotation)
            elif (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)
            ):
                name, value = node.targets[0].id, node.value
                known = self.type_of(value)
                if isinstance(value, ast.Call) and getattr(value.func, "attr", "") in {"get", "setdefault"}:
                    value = value.func.value  # type: ignore[attr-defined]  # a part of what is in there
                if isinstance(value, ast.Attribute):
                    self.aliases[name] = value
            else:
                continue
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if known is not None:
                self.types[target.id] = known  # type: ignore[union-attr]  # a Name, as seen above

    def type_of(self, node: ast.expr) -> str | None:
        """Return the full name of an expression's class, as far as it is known."""
        if isinstance(node, ast.Await):
            return self.type_of(node.value)
        if isinstance(node, ast.Name):
            if node.id in {"self", "cls"} and self.owner is not None:
                return self.owner
            return self.types.get(node.id)
        if isinstance(node, ast.Call):
            called = self.file.dotted(node.func)
            if called is None and isinstance(node.func, ast.Attribute):
                owner = self.type_of(node.func.value)
                return None if owner is None else self.file.code.type_of_member(owner, node.func.attr)
            if called == "logging.getLogger":
                return "logging.Logger"
            return called
        if isinstance(node, ast.Attribute):
            owner = self.type_of(node.value)
            if owner is None:
                return None
            if is_upstream(self.file.code.origin(owner)):
                return f"{owner}.{node.attr}"  # of some class of the library
            return self.file.code.type_of_member(owner, node.attr)
        return None

    def owns(self, node: ast.expr, name: str, *, unknown: bool) -> bool:
        """Return whether an object's attribute is ours.

        Args:
            node: the object.
            name: the attribute.
            unknown: the answer for an object of unknown type.
        """
        code = self.file.code
        known = self.type_of(node)
        if known is None:
            origin = code.origin(self.file.dotted(node) or "")  # a class or a module, not an instance
            if not origin:
                return unknown
            known = origin
        known = code.origin(known)
        if is_upstream(known):
            return False
        if known.split(".")[0] not in {module.split(".")[0] for module in code.files}:
            return True  # the standard library's, or that of a library that is not listed
        return code.has_member(known, name) if known in code.classes else unknown


def _members(node: ast.ClassDef) -> set[str]:
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, (ast.ClassDef, *FUNCTIONS)):
            names.add(part.name)
        elif isinstance(part, ast.Name | ast.Attribute) and isinstance(part.ctx, ast.Store):
            if isinstance(part, ast.Name):
                names.add(part.id)
            elif isinstance(part.value, ast.Name) and part.value.id in {"self", "cls"}:
                names.add(part.attr)
    return names


def _annotations(arguments: ast.arguments) -> dict[str, ast.expr | None]:
    return {
        argument.arg: argument.annotation
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }


def _parameters(cls: ast.ClassDef) -> dict[ast.AST, dict[str, ast.expr | None]]:
    """Return the parameters of a class's methods, by the assignments in them."""
    return {
        part: _annotations(function.args)
        for function in cls.body
        if isinstance(function, FUNCTIONS)
        for part in ast.walk(function)
        if isinstance(part, ast.Assign)
    }


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a function, but not in functions within it, in the order of the source."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            continue
        yield child
        yield from _own_nodes(child)


def walk(file: File) -> Iterator[tuple[Any, Scope]]:
    def visit(node: ast.AST, scope: Scope) -> Iterator[tuple[Any, Scope]]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.ClassDef):
                inner = Scope(file, f"{file.module}.{child.name}", dict(scope.types))
            elif isinstance(child, (*FUNCTIONS, ast.Lambda)):
                inner = Scope(file, scope.owner, dict(scope.types))
                inner.aliases |= scope.aliases
                inner.learn(child)
            yield child, inner
            yield from visit(child, inner)

    yield from visit(file.tree, Scope(file, None, {}))
