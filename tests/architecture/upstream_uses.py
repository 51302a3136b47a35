"""Finds where code relies on more of a library than the library offers.

That is: names that begin with an underscore, attributes that code sets on objects of the library, and members of
its classes that our subclasses override. An object of unknown type counts as the library's unless a class of ours
has a member of that name.
"""

import ast
import dis
import importlib
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.architecture.inference import FUNCTIONS, File, Scope, is_upstream, walk

_CHANGING = {"add", "append", "clear", "extend", "insert", "pop", "remove", "setdefault", "sort", "update"}
_COMMON = {*vars(object), "__module__", "__annotations__", "__slots__", "__match_args__", "__call__"}


class Use(NamedTuple):
    """A use of a part of a library: the part's last name, and where."""

    name: str
    line: int


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def private_uses(file: File) -> Iterator[Use]:
    """Yield the names with an underscore that the file did not define itself."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [part for alias in node.names for part in alias.name.split(".")]
            origin = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            names += (origin or "").split(".")
            if is_upstream(origin):
                yield from (Use(name, node.lineno) for name in names if is_private(name))
    for node, scope in walk(file):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not scope.owns(node.value, node.attr, unknown=node.attr in file.own_members):
                yield Use(node.attr, node.lineno)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"getattr", "hasattr", "setattr", "delattr"}
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
            and is_private(str(node.args[1].value))
        ):
            yield Use(str(node.args[1].value), node.lineno)


def assignments(file: File) -> Iterator[Use]:
    """Yield the attributes that the file sets, deletes or changes on objects that are not ours."""
    for node, scope in walk(file):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield from _changed(node, scope, node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"setattr", "delattr"} and isinstance(node.args[1], ast.Constant):
                name = str(node.args[1].value)
                if not scope.owns(node.args[0], name, unknown=name in file.code.members):
                    yield Use(name, node.lineno)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CHANGING
            and isinstance(node.func.value, ast.Attribute)
            and is_upstream(scope.type_of(node.func.value.value))
        ):
            yield Use(node.func.value.attr, node.lineno)


def _changed(target: ast.expr, scope: Scope, line: int) -> Iterator[Use]:
    key: ast.expr | None = None
    while isinstance(target, ast.Subscript):
        key, target = target.slice, target.value
    if isinstance(target, ast.Name) and key is not None:
        target = scope.aliases.get(target.id, target)
    if isinstance(target, ast.Attribute) and target.attr != "__dict__":
        if not scope.owns(target.value, target.attr, unknown=target.attr in scope.file.code.members):
            yield Use(target.attr, line)
    elif isinstance(target, ast.Attribute) or (
        isinstance(target, ast.Call) and isinstance(target.func, ast.Name) and target.func.id == "vars"
    ):
        yield Use(str(key.value) if isinstance(key, ast.Constant) else "__dict__", line)


def overrides(classes: Iterable[type], ours: Iterable[str]) -> Iterator[tuple[type, type, str]]:
    """Yield what classes of ours override of classes of a library, unless it is abstract there.

    Args:
        classes: the classes.
        ours: the names of our top-level packages.

    Returns:
        The class of ours that overrides, the class of the library, and the member's name.
    """
    packages = set(ours)
    seen = set()
    for cls in classes:
        bases = list(cls.__mro__)
        for index, base in enumerate(bases):
            if base.__module__.split(".")[0] not in packages:
                continue
            for name in _defined_in(base) - _COMMON:
                above = [other for other in bases[index + 1 :] if is_upstream(other.__module__)]
                if any(getattr(vars(other).get(name), "__isabstractmethod__", False) for other in above):
                    continue
                for other in above:
                    if name in vars(other) or name in instance_attributes(other):
                        if (base, other, name) not in seen:
                            seen.add((base, other, name))
                            yield base, other, name
                        break


@cache
def _defined_in(cls: type) -> frozenset[str]:
    """Return what the source of a class defines; decorators may have added more."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    names: set[str] = set()
    for part in node.body:
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            names.add(part.name)
        elif isinstance(part, ast.Assign):
            names |= {target.id for target in part.targets if isinstance(target, ast.Name)}
    names |= {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and isinstance(part.value, ast.Name)
        and part.value.id == "self"
    }
    return frozenset(names)


def resolve(dotted: str) -> Any:
    """Import what a dotted name names.

    Raises:
        AttributeError: there is no such thing. An attribute that only instances have gives None.
    """
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for index, name in enumerate(parts[length:], length):
            if isinstance(found, type) and index == len(parts) - 1 and not hasattr(found, name):
                if name in instance_attributes(found):
                    return None
                raise AttributeError(f"{dotted}: instances of {found.__name__} have no `{name}`")
            found = getattr(found, name)
        return found
    raise AttributeError(f"{dotted}: there is no such module")


@cache
def instance_attributes(cls: type) -> frozenset[str]:
    """Return the attributes that a class declares, or that its methods set."""
    names: set[str] = set()
    for base in cls.__mro__:
        names |= set(vars(base).get("__annotations__", ()))
        for member in vars(base).values():
            steps = list(dis.get_instructions(member)) if inspect.isfunction(member) else []
            for before, step in itertools.pairwise(steps):
                # One instruction may load two names: the value, then `self`.
                loaded = before.argval[-1:] if isinstance(before.argval, tuple) else (before.argval,)
                if step.opname == "STORE_ATTR" and loaded == ("self",):
                    names.add(step.argval)
    return frozenset(names)
