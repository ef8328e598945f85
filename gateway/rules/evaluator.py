"""Expressions inside templates: jinja2's nodes become typed closures over a :class:`Scope`.

Each kind of node has one method that checks types and returns a :class:`Typed`. What has no
method is not in the language. Fields are read by code fixed in the schema, data by key: no
attribute of a value is ever looked up by a name out of a template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

from jinja2 import Undefined, nodes

from gateway.rules.filters import PATTERN_TESTS, Filter
from gateway.rules.message_filters import MESSAGE_FILTERS, TEMPLATE_FILTERS
from gateway.rules.operators import (
    COMPARISONS,
    SYMBOLS,
    arithmetic,
    arithmetic_type,
    comparison_problem,
    described,
    merged,
)
from gateway.rules.predicates import TESTS, known_pattern
from gateway.rules.regex import PatternError
from gateway.rules.schema import (
    ANY,
    BOOL,
    DICT_METHODS,
    FLOAT,
    INT,
    NONE,
    READERS,
    STR,
    STR_METHODS,
    Field,
    Method,
    Model,
    Ty,
)
from gateway.rules.scope import Scope, cut
from gateway.rules.syntax import as_written, error_at
from gateway.rules.values import ABSENT, Missing, UnfitValue, as_text, kind_of, look_up, missing_key

MAX_NODES, MAX_DEPTH = 1_500, 40

Run = Callable[[Scope], Any]

PATTERN_STEPS = 200
"""What a search counts for: even a tame regular expression can take milliseconds."""

LOOP_FIELDS: Mapping[str, Ty] = {
    "index": INT,
    "index0": INT,
    "revindex": INT,
    "revindex0": INT,
    "length": INT,
    "first": BOOL,
    "last": BOOL,
}

_PAIRS = Ty("list", item=Ty("list", item=ANY))
_DICT_METHODS: Mapping[str, Method] = {
    **DICT_METHODS,
    "items": Method(_PAIRS),
    "keys": Method(Ty("list", item=STR)),
    "values": Method(Ty("list", item=ANY)),
}


@dataclass(frozen=True, slots=True)
class Typed:
    """A checked expression: its type, how it is evaluated, and its text where it is a plain path."""

    ty: Ty
    run: Run
    path: str = ""


class Evaluator:
    """Makes typed closures of expressions.

    Args:
        names: the roots in scope and their types.

    Attributes:
        scopes: the names known at this point, innermost last.
        count: how many nodes were seen.
        untyped: how many keys of untyped data were used, which nobody can check.
    """

    def __init__(self, names: Mapping[str, Ty]) -> None:
        self.scopes: list[dict[str, Ty]] = [dict(names)]
        self.count = self.untyped = self._depth = 0

    def expression(self, node: nodes.Node) -> Typed:
        """Check and compile one expression.

        Raises:
            LanguageError: it is not in the language or its types do not fit.
        """
        self.count += 1
        self._depth += 1
        try:
            if self.count > MAX_NODES:
                raise error_at(node, f"the template is too complex: more than {MAX_NODES:,} parts")
            if self._depth > MAX_DEPTH:
                raise error_at(node, f"nested deeper than {MAX_DEPTH} levels")
            return self._by_kind(node)
        finally:
            self._depth -= 1

    def _by_kind(self, node: nodes.Node) -> Typed:
        match node:
            case nodes.Const():
                return _constant(node)
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._attribute(node)
            case nodes.Getitem():
                return self._item(node)
            case nodes.Call():
                return self._call(node)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Test():
                return self._test(node)
            case nodes.Compare():
                return self._compare(node)
            case nodes.And() | nodes.Or():
                return self._and_or(node)
            case nodes.Not():
                return self._not(node)
            case nodes.Neg() | nodes.Pos():
                return self._sign(node)
            case nodes.Concat():
                return self._concat(node)
            case nodes.CondExpr():
                return self._choice(node)
            case nodes.List() | nodes.Tuple():
                return self._list(node)
            case nodes.BinExpr() if type(node) in SYMBOLS:
                return self._arithmetic(node)
        raise error_at(node, f"{_NAMES.get(type(node), type(node).__name__)} is not part of the template language")

    # names and paths

    def _name(self, node: nodes.Name) -> Typed:
        name = node.name
        ty = next((scope[name] for scope in reversed(self.scopes) if name in scope), None)
        if ty is None:
            raise error_at(node, f"unknown name {name!r}", name, {name for scope in self.scopes for name in scope})
        return Typed(ty, lambda scope: scope.variable(name), name)

    def _attribute(self, node: nodes.Getattr) -> Typed:
        owner, name = self.expression(node.node), node.attr
        if name.startswith("__"):
            raise error_at(node, f"{name!r} is private")
        match owner.ty:
            case Ty("model", model=Model() as model):
                return self._field(node, owner, model)
            case Ty("loop"):
                return _loop_field(node, owner)
            case Ty("any") | Ty("dict"):
                return self._key(owner, name, lambda _: name)
        raise _no_attribute(node, described(owner.ty), [], _methods(owner.ty))

    def _field(self, node: nodes.Getattr, owner: Typed, model: Model) -> Typed:
        field = model.fields.get(node.attr)
        if field is None:
            raise _no_attribute(node, model.name, model.fields, model.methods)
        read, run, path = _reader(node.attr, field), owner.run, f"{owner.path}.{node.attr}"
        if not owner.ty.optional:
            return Typed(field.ty, lambda scope: read(scope, run(scope)), path)

        def read_if_there(scope: Scope) -> Any:
            value = run(scope)
            return Missing(f"{owner.path} is none here") if _is_nothing(value) else read(scope, value)

        return Typed(field.ty.or_none(), read_if_there, path)

    def _key(self, owner: Typed, name: object, key: Run) -> Typed:
        self.untyped += 1
        run, path = owner.run, f"{owner.path}.{name}"

        def read(scope: Scope) -> Any:
            value = run(scope)
            if isinstance(value, Undefined):
                return value
            found = look_up(value, key(scope))
            return missing_key(path) if found is ABSENT else found

        return Typed(owner.ty.item or ANY, read, path)

    def _item(self, node: nodes.Getitem) -> Typed:
        owner = self.expression(node.node)
        if owner.ty.name not in ("list", "dict", "str", "any"):
            raise error_at(node, f"{described(owner.ty)} has no items; its attributes are written with a dot")
        if isinstance(node.arg, nodes.Slice):
            return self._slice(owner, node.arg)
        index = self.expression(node.arg)
        if owner.ty.name in ("list", "str") and index.ty.name not in ("int", "any"):
            raise error_at(node.arg, f"an item is taken by its number, not by {described(index.ty)}")
        key = self._key(owner, node.arg.value if isinstance(node.arg, nodes.Const) else "[…]", index.run)
        return replace(key, ty=STR) if owner.ty.name == "str" else key

    def _slice(self, owner: Typed, node: nodes.Slice) -> Typed:
        if owner.ty.name == "dict":
            raise error_at(node, "a mapping cannot be sliced")
        bounds = [self._slice_bound(bound) for bound in (node.start, node.stop, node.step)]
        run = owner.run

        def cut(scope: Scope) -> Any:
            value = run(scope)
            if not isinstance(value, str | list | tuple):
                raise UnfitValue(f"{kind_of(value)} cannot be sliced")
            return scope.made(value[slice(*(bound(scope) for bound in bounds))])

        return Typed(owner.ty, cut)

    def _slice_bound(self, node: nodes.Expr | None) -> Run:
        if node is None:
            return lambda scope: None
        bound = self.expression(node)
        if bound.ty.name not in ("int", "any"):
            raise error_at(node, f"a slice goes from number to number, not by {described(bound.ty)}")
        return bound.run

    # methods, filters, tests

    def _call(self, node: nodes.Call) -> Typed:
        if not isinstance(node.node, nodes.Getattr):
            raise error_at(node, "only methods can be called")
        owner, name = self.expression(node.node.node), node.node.attr
        methods = _methods(owner.ty)
        if owner.ty.name == "any":
            raise error_at(node.node, "untyped data has no methods; use a filter", name, TEMPLATE_FILTERS)
        if name not in methods:
            raise error_at(node.node, f"{described(owner.ty)} has no method {name!r}", name, methods)
        arguments = self._positional(node, f"{name}()", methods[name].min_args, methods[name].max_args)
        for argument, typed in zip(node.args, arguments, strict=True):
            if owner.ty.name == "str" and typed.ty.name not in ("str", "any"):
                raise error_at(argument, f"{name}() takes text, not {described(typed.ty)}")
        return _method_call(owner, name, methods[name], arguments)

    def _filter(self, node: nodes.Filter) -> Typed:
        if node.node is None:
            raise error_at(node, "a filter needs a value")
        entry = TEMPLATE_FILTERS.get(node.name)
        if entry is None:
            raise error_at(node, f"unknown filter {node.name!r}", node.name, TEMPLATE_FILTERS)
        value = self.expression(node.node)
        if value.ty.name not in entry.takes | {"any", "none"}:
            raise error_at(node, f"the filter {node.name!r} cannot be used on {described(value.ty)}")
        positional = self._positional(node, f"the filter {node.name!r}", 0, entry.max_args, by_name=True)
        named = self._named(node, entry, len(positional))
        for given in (*positional, *named.values()):
            if given.ty.name in ("model", "loop"):
                raise error_at(node, f"the filter {node.name!r} takes no {given.ty}; pick an attribute")
        _check_literals(node, entry)
        first = positional[0].ty if positional else None
        return Typed(_filtered_type(entry, value.ty, first), _filter_call(entry, value, positional, named))

    def _named(self, node: nodes.Filter, entry: Filter, given: int) -> dict[str, Typed]:
        named: dict[str, Typed] = {}
        free = entry.arguments[given:]
        for keyword in node.kwargs:
            name = str(keyword.key)
            if name not in free:
                raise error_at(keyword.value, f"the filter {entry.name!r} takes no argument {name!r} here", name, free)
            named[name] = self.expression(keyword.value)
        required = entry.arguments[given : entry.min_args]
        missing = [name for name in required if name not in named]
        if missing:
            raise error_at(node, f"the filter {entry.name!r} needs the argument {missing[0]!r}")
        return named

    def _test(self, node: nodes.Test) -> Typed:
        test = TESTS.get(node.name)
        if test is None:
            raise error_at(node, f"unknown test {node.name!r}", node.name, TESTS)
        value = self.expression(node.node)
        steps = _pattern_steps(node)
        arguments = self._positional(node, f"the test {node.name!r}", test.min_args, test.max_args)
        if not test.takes(value.ty):
            raise error_at(node, f"the test {node.name!r} cannot be used on {described(value.ty)}")
        function, run, given = test.function, value.run, [argument.run for argument in arguments]

        def ask(scope: Scope) -> bool:
            scope.spend(steps)
            return bool(function(run(scope), *(argument(scope) for argument in given)))

        return Typed(BOOL, ask)

    def _positional(
        self, node: nodes.Call | nodes.Filter | nodes.Test, what: str, least: int, most: int, by_name: bool = False
    ) -> list[Typed]:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise error_at(node, "arguments cannot be unpacked with * here")
        if node.kwargs and not by_name:
            raise error_at(node, f"{what} takes no arguments by name")
        if not least <= len(node.args) <= most:
            wanted = str(most) if least == most else f"{least} to {most}"
            plural = "" if wanted == "1" else "s"
            raise error_at(node, f"{what} takes {wanted} argument{plural}, not {len(node.args)}")
        return [self.expression(argument) for argument in node.args]

    # operators

    def _compare(self, node: nodes.Compare) -> Typed:
        left = first = self.expression(node.expr)
        steps, left_node = [], node.expr
        for operand in node.ops:
            right = self.expression(operand.expr)
            self._check_comparison(operand, left_node, left, right)
            steps.append((COMPARISONS[operand.op], right.run))
            left, left_node = right, operand.expr
        return Typed(BOOL, _comparison(first.run, steps))

    def _check_comparison(self, node: nodes.Operand, left_node: nodes.Expr, left: Typed, right: Typed) -> None:
        problem = comparison_problem(node.op, left.ty, right.ty)
        if problem is not None:
            raise error_at(node.expr, problem)
        if left.ty.literals is not None:
            _check_literal_values(node.expr, left.ty.literals)
        if right.ty.literals is not None and node.op in ("eq", "ne"):
            _check_literal_values(left_node, right.ty.literals)

    def _and_or(self, node: nodes.And | nodes.Or) -> Typed:
        left, right = self.expression(node.left), self.expression(node.right)
        a, b = left.run, right.run
        if isinstance(node, nodes.And):
            return Typed(merged(left.ty, right.ty), lambda scope: a(scope) and b(scope))
        return Typed(merged(left.ty, right.ty), lambda scope: a(scope) or b(scope))

    def _not(self, node: nodes.Not) -> Typed:
        run = self.expression(node.node).run
        return Typed(BOOL, lambda scope: not run(scope))

    def _sign(self, node: nodes.Neg | nodes.Pos) -> Typed:
        value = self.expression(node.node)
        result = arithmetic_type("-", INT, value.ty)
        if result is None:
            raise error_at(node, f"{described(value.ty)} has no sign")
        run, compute = value.run, arithmetic("-" if isinstance(node, nodes.Neg) else "+")
        return Typed(result, lambda scope: compute(0, run(scope)))

    def _arithmetic(self, node: nodes.BinExpr) -> Typed:
        symbol = SYMBOLS[type(node)]
        left, right = self.expression(node.left), self.expression(node.right)
        result = arithmetic_type(symbol, left.ty, right.ty)
        if result is None:
            advice = "; ~ joins anything as text" if symbol == "+" else ""
            raise error_at(node, f"{symbol} cannot join {described(left.ty)} and {described(right.ty)}{advice}")
        a, b, compute = left.run, right.run, arithmetic(symbol)
        return Typed(result, lambda scope: scope.made(compute(a(scope), b(scope))))

    def _concat(self, node: nodes.Concat) -> Typed:
        parts = [self.printable(part).run for part in node.nodes]
        return Typed(STR, lambda scope: scope.made("".join(as_text(part(scope)) for part in parts)))

    def printable(self, node: nodes.Node) -> Typed:
        """An expression whose value can be shown: a model, list or mapping as a whole cannot."""
        value = self.expression(node)
        if value.ty.name in ("model", "loop"):
            raise error_at(node, f"{described(value.ty)} cannot be shown as a whole; pick an attribute, such as .name")
        if value.ty.name in ("list", "dict"):
            raise error_at(node, f"{described(value.ty)} cannot be shown as it is; use | join(', ') or | tojson")
        return value

    def _choice(self, node: nodes.CondExpr) -> Typed:
        test, then = self.expression(node.test).run, self.expression(node.expr1)
        otherwise = Typed(NONE, lambda scope: None) if node.expr2 is None else self.expression(node.expr2)
        a, b = then.run, otherwise.run
        return Typed(merged(then.ty, otherwise.ty), lambda scope: a(scope) if test(scope) else b(scope))

    def _list(self, node: nodes.List | nodes.Tuple) -> Typed:
        items = [self.expression(item) for item in node.items]
        for item, typed in zip(node.items, items, strict=True):
            if typed.ty.name in ("list", "dict", "model", "loop"):
                raise error_at(item, f"a list written in a template holds plain values, not {described(typed.ty)}")
        runs = [item.run for item in items]
        ty = Ty("list", item=_common([item.ty for item in items]))
        return Typed(ty, lambda scope: scope.made([_flat(run(scope)) for run in runs]))


def _constant(node: nodes.Const) -> Typed:
    value = node.value
    if isinstance(value, int) and abs(value) > 2**63:
        raise error_at(node, "the number is too large")
    ty = next((ty for kind, ty in _CONSTANTS if isinstance(value, kind)), NONE)
    return Typed(ty, lambda scope: value)


_CONSTANTS: Sequence[tuple[type, Ty]] = ((bool, BOOL), (int, INT), (float, FLOAT), (str, STR))


def _loop_field(node: nodes.Getattr, owner: Typed) -> Typed:
    if node.attr not in LOOP_FIELDS:
        raise _no_attribute(node, "loop", LOOP_FIELDS, ())
    run, read = owner.run, attrgetter(node.attr)
    return Typed(LOOP_FIELDS[node.attr], lambda scope: read(run(scope)))


def _no_attribute(node: nodes.Getattr, owner: str, known: Iterable[str], methods: Iterable[str]) -> Exception:
    if node.attr in methods:
        return error_at(node, f"{node.attr!r} is a method; call it: {node.attr}()")
    return error_at(node, f"{owner} has no attribute {node.attr!r}", node.attr, [*known, *methods])


@cache
def _reader(name: str, field: Field) -> Callable[[Scope, Any], Any]:
    """How a field is read: texts cut to what a message can show; what the schema computes, once per rendering."""
    read: Callable[[Any], Any] = attrgetter(name)
    if field.read:
        read = _compiled(f"lambda it: {field.read.format('it')}")
    if field.ty.name == "str":
        return lambda scope, owner: cut(read(owner))
    if field.read:
        return lambda scope, owner: scope.once(owner, name, read)
    return lambda scope, owner: read(owner)


@cache
def _compiled(source: str) -> Callable[..., Any]:
    """Code of the schema, never of a template, as a function."""
    made: Callable[..., Any] = eval(source, {**READERS, "__builtins__": {}})
    return made


def _methods(ty: Ty) -> Mapping[str, Method]:
    if ty.model is not None:
        return ty.model.methods
    return {"str": STR_METHODS, "dict": _DICT_METHODS}.get(ty.name, {})


def _method_call(owner: Typed, name: str, method: Method, arguments: Sequence[Typed]) -> Typed:
    run, given = owner.run, [argument.run for argument in arguments]
    function = _method_function(owner.ty, name, method)
    nothing: Any = False if method.result == BOOL else Missing(f"{owner.path} is none here")

    def call(scope: Scope) -> Any:
        value = run(scope)
        if _is_nothing(value):
            return nothing
        return scope.made(function(value, *(argument(scope) for argument in given)))

    result = owner.ty.item if name == "get" and owner.ty.item is not None else method.result
    return Typed(result, call)


def _method_function(ty: Ty, name: str, method: Method) -> Callable[..., Any]:
    if ty.name == "dict":
        return _DICT_FUNCTIONS[name]
    if not method.code:
        function: Callable[..., Any] = getattr(str, name)
        return function
    return _compiled(f"lambda it: {method.code.format('it')}")


def _get(mapping: dict[Any, Any], key: object, default: object = None) -> Any:
    found = look_up(mapping, key)
    return default if found is ABSENT else found


_DICT_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "get": _get,
    "items": lambda mapping: [[key, item] for key, item in mapping.items()],
    "keys": list,
    "values": lambda mapping: [*mapping.values()],
}


def _is_nothing(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


def _filtered_type(entry: Filter, value: Ty, first: Ty | None) -> Ty:
    result = entry.result_for(value, first)
    return result.or_none() if value.optional and entry.shape != "default" else result


def _filter_call(entry: Filter, value: Typed, positional: Sequence[Typed], named: Mapping[str, Typed]) -> Run:
    function, read, given = entry.function, value.run, [argument.run for argument in positional]
    keywords = {name: argument.run for name, argument in named.items()}
    wants_scope = entry.name in MESSAGE_FILTERS

    def call(scope: Scope) -> Any:
        subject = read(scope)
        scope.weigh(subject)
        arguments = [subject, *(argument(scope) for argument in given)]
        if wants_scope:
            arguments.insert(0, scope)
        return scope.made(function(*arguments, **{name: run(scope) for name, run in keywords.items()}))

    return call


def _pattern_steps(node: nodes.Test) -> int:
    """What a test counts for; a regular expression is checked here, so it is written in the template itself."""
    if node.name not in PATTERN_TESTS or not node.args:
        return 0
    operand = node.args[0]
    if not isinstance(operand, nodes.Const) or not isinstance(operand.value, str):
        raise error_at(operand, f"the test {node.name!r} takes a regular expression in quotes")
    operand.value = as_written(operand)
    try:
        known_pattern(operand.value)
    except PatternError as error:
        raise error_at(operand, str(error)) from None
    return PATTERN_STEPS


def _check_literals(node: nodes.Filter, entry: Filter) -> None:
    literals = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
    if entry.check is None or not literals or len(literals) < len(node.args):
        return
    try:
        entry.check(*literals)
    except UnfitValue as error:
        raise error_at(node, f"the filter {entry.name!r}: {error}") from None


def _comparison(first: Run, steps: Sequence[tuple[Callable[[Any, Any], Any], Run]]) -> Run:
    if len(steps) == 1:
        ((compare, other),) = steps
        return lambda scope: compare(first(scope), other(scope))

    def chain(scope: Scope) -> Any:
        left, holds = first(scope), True
        for compare, other in steps:
            right = other(scope)
            holds = compare(left, right)
            if not holds:
                break
            left = right
        return holds

    return chain


def _check_literal_values(node: nodes.Expr, possible: frozenset[str]) -> None:
    """Refuse to compare with a text that the other side can never be."""
    written = node.items if isinstance(node, nodes.List | nodes.Tuple) else [node]
    for item in written:
        if isinstance(item, nodes.Const) and isinstance(item.value, str) and item.value not in possible:
            raise error_at(item, f"{item.value!r} can never match", item.value, possible)


def _common(types: Sequence[Ty]) -> Ty:
    kinds = {ty.name for ty in types}
    return Ty(types[0].name) if len(kinds) == 1 else ANY


def _flat(value: Any) -> Any:
    """An item of a list written in a template: lists inside lists could grow without end by being reused."""
    if isinstance(value, list | tuple | dict):
        raise UnfitValue(f"a list written in a template holds plain values, not {kind_of(value)}")
    return value


_NAMES: Mapping[type[nodes.Node], str] = {
    nodes.Pow: "the operator **",
    nodes.Dict: "a mapping written with { }",
}
