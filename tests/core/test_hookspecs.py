"""The hooks are documented where they are specified: result, rule, and an example that is Python."""

import ast
import inspect
import textwrap

import pytest

from chatrack.hookspecs import HookSpecs
from chatrack.plugins import PluginManager

HOOKS = [name for name in vars(HookSpecs) if not name.startswith("_")]


def documentation(hook: str) -> str:
    text = inspect.getdoc(getattr(HookSpecs, hook))
    assert text, f"{hook} has no docstring"
    return text


def example(hook: str) -> ast.FunctionDef:
    """Return the hook implementation that the docstring shows."""
    _, found, snippet = documentation(hook).partition("Example::\n")
    assert found, f"{hook} has no example"
    [function] = ast.parse(textwrap.dedent(snippet)).body
    assert isinstance(function, ast.FunctionDef)
    return function


def test_there_are_hooks():
    assert {"store", "authenticators", "model_providers", "tools", "agents", "actions", "migrations"} <= set(
        HOOKS
    )
    assert {"routes", "lifespan"} <= set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_what_it_gives_and_by_which_rule(hook):
    text = documentation(hook)
    first = text.splitlines()[0]
    assert first.endswith(".")
    for part in ("Result: ", "Rule: "):
        assert text.count(f"\n{part}") == 1, part


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_a_hook_implements_it(hook):
    function = example(hook)
    assert function.name == hook
    assert [ast.unparse(decorator) for decorator in function.decorator_list] == ["chatrack.hookimpl"]
    taken = {argument.arg for argument in function.args.args}
    assert taken <= set(inspect.signature(getattr(HookSpecs, hook)).parameters)
    assert any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_synchronous_and_typed(hook):
    function = getattr(HookSpecs, hook)
    assert not inspect.iscoroutinefunction(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for name, parameter in signature.parameters.items():
        assert name == "self" or parameter.annotation is not inspect.Parameter.empty
        assert parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_called_by_one_typed_method(hook):
    method = getattr(PluginManager, {"lifespan": "lifespans"}.get(hook, hook))
    offered = set(inspect.signature(getattr(HookSpecs, hook)).parameters)
    # `derive_key` differs from plugin to plugin, so that the manager itself passes it on.
    assert set(inspect.signature(method).parameters) == offered - {"derive_key"}
