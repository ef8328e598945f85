"""Lowered expressions mean what jinja2 says they mean: random expressions, evaluated by both.

jinja2 is given the few things in which the language differs on purpose: fields are read as the schema
says, and what is not there, or none, has no order, no sum, no methods and no members.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from jinja2 import Undefined, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gateway.errors import LanguageError
from gateway.rules.expression import compile_value
from gateway.rules.filters import FILTERS
from gateway.rules.nothing import Nothing
from gateway.rules.predicates import TESTS
from gateway.states import State
from gateway.transition import Obj, Transition, plain, text_of

ROUNDS = int(os.environ.get("GATEWAY_FUZZ", "1"))


class Chained(Nothing):
    """What is not there, for jinja2: a method of it is not there either."""

    def __call__(self, *_: object) -> Chained:
        return self


def is_missing(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


class OnPurpose(NodeTransformer):
    """Writes into jinja2's tree what the language does differently."""

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first = node.ops[0]
        if first.op in ("in", "notin"):
            within = nodes.Filter(node.expr, "within", [first.expr], [], None, None, lineno=1)
            return nodes.Not(within, lineno=1) if first.op == "notin" else within
        if any(operand.op in ("lt", "lteq", "gt", "gteq") for operand in node.ops):
            node.expr = _through("some", node.expr)
            for operand in node.ops:
                operand.expr = _through("some", operand.expr)
        return node

    def visit_Add(self, node: nodes.Add) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.left, node.right = _through("some", node.left), _through("some", node.right)
        return node

    visit_Sub = visit_Add  # noqa: N815

    def visit_Neg(self, node: nodes.Neg) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.node = _through("some", node.node)
        return node


def _through(name: str, node: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(node, name, [], [], None, None, lineno=1)


class Reference(ImmutableSandboxedEnvironment):
    """jinja2 itself, reading fields as the language defines them."""

    def __init__(self) -> None:
        super().__init__(undefined=Chained)
        self.tests = {name: test.function for name, test in TESTS.items()}
        self.filters = {name: _null_safe(name, entry.function) for name, entry in FILTERS.items()}
        self.filters["some"] = lambda value: Chained() if value is None else value
        self.filters["within"] = _within

    def getattr(self, obj: Any, attribute: str) -> Any:
        if is_missing(obj):
            return (lambda: False) if attribute.startswith("is_") else Chained()
        if type(obj) is dict:
            return obj.get if attribute == "get" else obj.get(attribute, Chained())
        if isinstance(obj, State) and attribute in ("message", "result"):
            return text_of(obj.message) if attribute == "message" else plain(obj.result)
        if isinstance(obj, Obj) and attribute == "parameters":
            return plain(obj.parameters)
        if isinstance(obj, str):
            return lambda *texts: Chained() if any(map(is_missing, texts)) else getattr(str, attribute)(obj, *texts)
        return super().getattr(obj, attribute)

    def evaluator(self, text: str) -> Callable[[Mapping[str, Any]], Any]:
        expression = OnPurpose().visit(Parser(self, text, state="variable").parse_expression())
        body = [nodes.Assign(nodes.Name("value", "store", lineno=1), expression, lineno=1)]
        tree = nodes.Template(body, lineno=1).set_environment(self)
        template = self.from_string(tree)
        return lambda names: template.make_module(dict(names)).__dict__["value"]


def _within(item: Any, container: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    return isinstance(container, dict | list | tuple) and not isinstance(item, Undefined) and item in container


def _null_safe(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def filtered(value: Any, *arguments: Any) -> Any:
        if name != "default" and is_missing(value):
            return Chained()
        return function(value, *arguments)

    return filtered


def outcome(function: Callable[[Any], Any], given: object) -> tuple[str, Any]:
    try:
        value = function(given)
    except Exception:
        return "raised", None
    return ("nothing", None) if isinstance(value, Undefined) else (type(value).__name__, value)


def names_of(transition: Transition) -> dict[str, Any]:
    return {
        "obj": transition.obj,
        "task": transition.task,
        "flow": transition.flow,
        "state": transition.state,
        "new_state": transition.state,
        "old_state": transition.old_state,
        "event": transition,
    }


@pytest.mark.parametrize("seed", range(3 * ROUNDS))
def test_lowered_expressions_agree_with_jinja2(seed: int, generator: Any) -> None:
    source, reference, counts = generator(seed), Reference(), Counter[str]()
    for _ in range(500):
        text = source.expression()
        try:
            ours = compile_value(text)
        except LanguageError:
            counts["refused"] += 1
            continue
        theirs = reference.evaluator(text)
        for _ in range(6):
            transition = source.transition()
            expected, got = outcome(theirs, names_of(transition)), outcome(ours, transition)
            counts["raised" if expected[0] == "raised" else "valued"] += 1
            assert got == expected, (text, transition)

    assert counts["valued"] > 1500, counts
    assert counts["raised"] > 5, counts
