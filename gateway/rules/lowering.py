"""Lowering: from a parsed expression, type-checked on the way, to one Python expression.

No sandbox is left at run time because nothing is left to guard: every name, attribute, method,
test and filter was resolved against :mod:`gateway.rules.schema`, and untyped data is read by key only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from jinja2 import nodes

from gateway.rules.filters import FILTERS, Filter
from gateway.rules.operators import NUMERIC, ORDERINGS, arithmetic_type, comparison_problem, described, merged
from gateway.rules.predicates import TESTS, Test, known_glob, known_pattern
from gateway.rules.regex import PatternError
from gateway.rules.schema import (
    ANY,
    ANYTHING,
    BOOL,
    DICT_METHODS,
    FLOAT,
    INT,
    NONE,
    STR,
    STR_METHODS,
    Field,
    Method,
    Model,
    Root,
    Ty,
)
from gateway.rules.syntax import Position, as_written, error_at, operands
from gateway.rules.values import UnfitValue

MOST_NODES = 200
DEEPEST = 24
LARGEST_NUMBER = 2**63

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}
MEMBERSHIPS = frozenset({"in", "notin"})
SIZED = frozenset({"str", "list", "dict"})
CONSTANTS: Mapping[type, Ty] = {str: STR, bool: BOOL, int: INT, float: FLOAT, type(None): NONE}
REFUSED = {
    "Mul": "*",
    "Div": "/",
    "FloorDiv": "//",
    "Mod": "%",
    "Pow": "**",
    "Pos": "a sign",
    "Slice": "a slice",
    "Dict": "a mapping",
}
INLINE: Mapping[str, tuple[frozenset[str], str]] = {
    "lower": (frozenset({"str"}), "{0}.lower()"),
    "upper": (frozenset({"str"}), "{0}.upper()"),
    "trim": (frozenset({"str"}), "{0}.strip()"),
    "length": (SIZED, "len({0})"),
    "count": (SIZED, "len({0})"),
}
"""Filters that, without arguments and of these types, are cheaper than a call."""


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of Python and its static type. ``absent``: its value may be :class:`~gateway.rules.nothing.Nothing`."""

    text: str
    ty: Ty
    absent: bool = False

    @property
    def sure(self) -> bool:
        """Whether there is certainly a value."""
        return not (self.absent or self.ty.optional or self.ty.name in ("any", "none"))


@dataclass(frozen=True, slots=True)
class Lowered:
    """A lowered expression. Ten thousand handlers have thirty thousand of these, so it holds little.

    Attributes:
        text: the Python expression, over ``e``, the names of ``loads``, ``lazy`` and ``names``, and the built-in ones
            of :mod:`gateway.rules.nothing`.
        loads: pairs of a local name and what of ``e`` to load into it first; none of these can fail.
        lazy: local names that must be ``_unread`` first; the expression fills them when it needs them.
        names: pairs of a name and the pattern it stands for.
        ty: the type of its value.
    """

    text: str
    loads: tuple[tuple[str, str], ...]
    lazy: tuple[str, ...]
    names: tuple[tuple[str, Any], ...]
    ty: Ty


def prologue(parts: Iterable[Lowered]) -> str:
    """The statements that must stand before the code of ``parts``, indented by one."""
    loads: dict[str, str] = {}
    for part in parts:
        loads.update(part.loads)
        loads.update(dict.fromkeys(part.lazy, "_unread"))
    return "".join(f" {name} = {read}\n" for name, read in loads.items())


@lru_cache(1024)
def _pair(name: str, read: str) -> tuple[str, str]:
    """The same pair each time: expressions load the same few fields."""
    return name, read


class Lowering:
    """Type-checks and lowers expressions parsed by :func:`gateway.rules.syntax.parse_expression`.

    Args:
        scope: the names they may start from.
        source: their text, where there is one: errors point into it.
        limited: all of them together are of bounded size.
    """

    def __init__(self, scope: Mapping[str, Root], source: str = "", *, limited: bool = True) -> None:
        self._scope, self._source, self._limited = scope, source, limited
        self._loads: dict[str, str] = {}
        self._lazy: dict[str, None] = {}
        self._names: dict[str, Any] = {}
        self._nodes = self._depth = self._temporaries = 0

    def lower(self, expression: nodes.Expr) -> Lowered:
        """The expression as Python.

        Raises:
            LanguageError: something in it is unknown, of the wrong type, can never match, or is too much.
        """
        self._loads, self._lazy, self._names = {}, {}, {}
        code = self._code(expression)
        loads = tuple(_pair(name, read) for name, read in self._loads.items())
        return Lowered(code.text, loads, tuple(self._lazy), tuple(self._names.items()), code.ty)

    def _code(self, node: nodes.Node) -> Code:
        """The code of a node: a method for every kind."""
        self._nodes += 1
        self._depth += 1
        if self._limited and (self._nodes > MOST_NODES or self._depth > DEEPEST):
            raise error_at(node, "the expression is too large; split it into several handlers")
        kind = type(node).__name__
        visit: Callable[[Any], Code] | None = getattr(self, f"_{kind.lower()}", None)
        if visit is None:
            raise error_at(node, f"{REFUSED.get(kind, kind)} is not allowed in an expression")
        code = visit(node)
        self._depth -= 1
        return code

    # names and fields

    def _name(self, node: nodes.Name) -> Code:
        root = self._scope.get(node.name)
        if root is None:
            raise error_at(node, f"unknown name {node.name!r}", node.name, self._scope)
        return Code(self._load(root.read), root.ty)

    def _getattr(self, node: nodes.Getattr) -> Code:
        owner = self._code(node.node)
        if owner.ty.name in ("any", "dict"):
            if node.attr.startswith("__"):
                raise error_at(node, f"{node.attr!r} is private")
            return Code(f"_get({owner.text}, {node.attr!r})", owner.ty.item or ANY, absent=True)
        if owner.ty.model is None:
            raise error_at(node, f"{described(owner.ty)} has no attribute {node.attr!r}")
        known = self._field(node, owner.ty.model)
        return Code(self._read(owner, node.attr, known), known.ty, absent=not owner.sure)

    def _field(self, node: nodes.Getattr, model: Model) -> Field:
        known = model.fields.get(node.attr)
        if known is not None:
            return known
        if node.attr in model.methods:
            raise error_at(node, f"{node.attr!r} must be called: write {node.attr}()")
        message = f"{model.name} has no attribute {node.attr!r}"
        raise error_at(self._word(node, node.attr), message, node.attr, [*model.fields, *model.methods])

    def _word(self, node: nodes.Node, word: str) -> nodes.Node:
        """Something to point at: ``word`` in the source behind ``node``, which knows the place of its operator only."""
        line = self._source.split("\n")[node.lineno - 1] if self._source else ""
        found = re.compile(rf"\b{re.escape(word)}\b").search(line, getattr(node.lineno, "column", 1) - 1)
        if found is None:
            return node
        position = Position(node.lineno)
        position.column = found.start() + 1
        return nodes.Const(word, lineno=position)

    def _read(self, owner: Code, attribute: str, known: Field) -> str:
        """The field of a state or object: at once where it is certainly there and costs nothing."""
        if known.read:
            return self._guarded(owner, lambda text: self._read_once(text, attribute, known.read))
        if owner.sure and owner.text.isidentifier():
            return self._load(f"{self._loads.get(owner.text, owner.text)}.{attribute}")
        return self._guarded(owner, lambda text: f"{text}.{attribute}")

    def _load(self, read: str) -> str:
        """A local name for a field that is cheap and safe to read ahead."""
        if read == "e":
            return read
        name = read.replace(".", "_")
        self._loads[name] = read
        return name

    def _read_once(self, owner: str, attribute: str, read: str) -> str:
        """A field that costs something to read: read when first needed, then kept, over all fused conditions."""
        if owner not in self._loads:
            return read.format(owner)
        name = f"{owner}_{attribute}"
        self._lazy[name] = None
        return f"({name} if {name} is not _unread else ({name} := {read.format(owner)}))"

    def _guarded(self, owner: Code, use: Callable[[str], str], otherwise: str = "_N") -> str:
        """``use`` of a state or object, where there certainly is one; ``otherwise`` where there is none."""
        if owner.sure:
            return use(owner.text)
        if owner.text.isidentifier():
            return f"({use(owner.text)} if {owner.text} is not None else {otherwise})"
        value = self._temporary()
        return f"({use(value)} if ({value} := {owner.text}) else {otherwise})"

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _getitem(self, node: nodes.Getitem) -> Code:
        owner = self._code(node.node)
        if owner.ty.name not in ("any", "dict", "list", "str"):
            raise error_at(node, f"{described(owner.ty)} has no items; use .attribute")
        key = self._data(node.arg)
        if owner.ty.name in ("list", "str") and key.ty.name not in ("int", "any"):
            raise error_at(node.arg, f"an item is taken by its number, not by {described(key.ty)}")
        ty = STR if owner.ty.name == "str" else owner.ty.item or ANY
        return Code(f"_get({owner.text}, {key.text})", ty, absent=True)

    # methods

    def _call(self, node: nodes.Call) -> Code:
        if not isinstance(node.node, nodes.Getattr) or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise error_at(node, "only methods can be called, and without keywords")
        owner, name = self._code(node.node.node), node.node.attr
        method = self._method(node.node, owner.ty)
        _check_count(node, f"{name}()", method, len(node.args))
        arguments = [self._code(argument) for argument in node.args]
        if owner.ty.model is not None:
            return Code(self._predicate(owner, name, method.code), method.result)
        if owner.ty.name == "dict":
            given = ", ".join(code.text for code in (owner, *arguments))
            return Code(f"_get_or({given})", owner.ty.item.or_none() if owner.ty.item else ANY)
        return _text_call(node, name, method, owner, arguments)

    def _method(self, node: nodes.Getattr, ty: Ty) -> Method:
        methods = ty.model.methods if ty.model else {"str": STR_METHODS, "dict": DICT_METHODS}.get(ty.name, {})
        method = methods.get(node.attr)
        if method is None and ty.name == "any":
            raise error_at(node, f"{node.attr!r} cannot be called on untyped data; use a test or a filter")
        if method is None:
            message = f"{described(ty)} has no method {node.attr!r}"
            raise error_at(self._word(node, node.attr), message, node.attr, methods)
        return method

    def _predicate(self, owner: Code, name: str, use: str) -> str:
        """Whether a state is of a kind: asked ahead, once for all fused conditions, where there certainly is one."""
        read = self._loads.get(owner.text)
        if read is None or not owner.sure or name == "is_final":
            return self._guarded(owner, use.format, "False")
        local = f"{owner.text}_{name}"
        self._loads[local] = use.format(read)
        return local

    # tests

    def _test(self, node: nodes.Test) -> Code:
        value, test = self._code(node.node), TESTS.get(node.name)
        if test is None:
            raise error_at(self._word(node, node.name), f"unknown test {node.name!r}", node.name, TESTS)
        if not test.takes(value.ty):
            raise error_at(node, f"the test {node.name!r} needs {test.wanted}, not {described(value.ty)}")
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise error_at(node, f"the test {node.name!r} takes plain arguments only")
        _check_count(node, f"the test {node.name!r}", test, len(node.args))
        if node.name in ("search", "match", "glob"):
            return self._pattern_test(node, value)
        arguments = [self._data(argument).text for argument in node.args]
        if test.scope == "state":
            return Code(self._predicate(value, f"is_{test.name}", test.code), BOOL)
        call = (
            test.code.format(value.text) if test.code else f"_test_{test.name}({', '.join([value.text, *arguments])})"
        )
        return Code(call, BOOL)

    def _pattern_test(self, node: nodes.Test, value: Code) -> Code:
        operand = node.args[0]
        if not isinstance(operand, nodes.Const) or not isinstance(operand.value, str):
            raise error_at(operand, f"the test {node.name!r} needs a text in quotes")
        pattern = operand.value if node.name == "glob" else as_written(operand)
        try:
            found = known_glob(pattern) if node.name == "glob" else getattr(known_pattern(pattern), node.name)
        except PatternError as error:
            raise error_at(operand, str(error)) from None
        name = f"_{node.name}_{blake2b(pattern.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
        self._names[name] = found
        use = f"({name}({{0}}) is not None)" if node.name == "glob" else f"{name}({{0}})"
        if value.sure:
            return Code(use.format(value.text), BOOL)
        subject = self._temporary()
        return Code(f"(isinstance({subject} := {value.text}, str) and {use.format(subject)})", BOOL)

    # filters

    def _filter(self, node: nodes.Filter) -> Code:
        entry = FILTERS.get(node.name)
        if entry is None:
            raise error_at(node, f"unknown filter {node.name!r}", node.name, FILTERS)
        if node.node is None or node.dyn_args or node.dyn_kwargs:
            raise error_at(node, f"the filter {node.name!r} needs a value and plain arguments")
        value = self._code(node.node)
        if value.ty.name not in entry.takes | {"any", "none"}:
            raise error_at(node, f"the filter {node.name!r} cannot be used on {described(value.ty)}")
        arguments = [self._data(argument) for argument in node.args]
        named = {str(keyword.key): self._data(keyword.value) for keyword in node.kwargs}
        _check_arguments(node, entry, named)
        if not (arguments or named) and value.sure and value.ty.name in INLINE.get(entry.name, (frozenset(),))[0]:
            return Code(INLINE[entry.name][1].format(value.text), entry.result)
        given = [code.text for code in arguments] + [f"{name}={code.text}" for name, code in named.items()]
        return self._filtered(entry, value, given, arguments)

    def _filtered(self, entry: Filter, value: Code, given: list[str], arguments: list[Code]) -> Code:
        result = entry.result_for(value.ty, arguments[0].ty if arguments else None)
        if entry.shape == "default":
            return Code(
                f"_filter_{entry.name}({', '.join([value.text, *given])})",
                result,
                absent=not (arguments and arguments[0].sure),
            )
        call = f"_filter_{entry.name}({', '.join(['{0}', *(_braced(text) for text in given)])})"
        if entry.shape == "element":
            call = f"_known({call})"
        if value.sure:
            return Code(call.format(value.text), result, absent=entry.shape == "element")
        subject = self._temporary()
        there = f"({subject} := {value.text}) is not _N and {subject} is not None"
        return Code(f"({call.format(subject)} if {there} else _N)", result, absent=True)

    def _data(self, node: nodes.Node) -> Code:
        """The code of a value that is handed on: never a whole state or object."""
        code = self._code(node)
        if code.ty.name == "model":
            raise error_at(node, f"a whole {code.ty} cannot be used here; pick an attribute, such as .name")
        return code

    # comparisons

    def _compare(self, node: nodes.Compare) -> Code:
        left_node, left = node.expr, self._code(node.expr)
        memberships = [operand for operand in node.ops if operand.op in MEMBERSHIPS]
        if memberships and len(node.ops) > 1:
            message = "'in' does not go with other comparisons in a row; join them with 'and'"
            raise error_at(memberships[0].expr, message)
        if memberships:
            return self._membership(memberships[0], left_node, left)
        ordered = any(operand.op in ORDERINGS for operand in node.ops)
        texts = [_some(left) if ordered else left.text]
        for operand in node.ops:
            right = self._code(operand.expr)
            _check_comparison(operand, left_node, left, right)
            texts += [COMPARISONS[operand.op], _some(right) if ordered else right.text]
            left_node, left = operand.expr, right
        return Code(f"({' '.join(texts)})", BOOL)

    def _membership(self, operand: nodes.Operand, item_node: nodes.Node, item: Code) -> Code:
        """``in``: natively where both sides are certain, among texts as a set."""
        texts = _constant_texts(operand.expr)
        container = self._code(operand.expr)
        _check_comparison(operand, item_node, item, container)
        if item.ty.name == "str" and texts:
            return Code(f"({item.text} {COMPARISONS[operand.op]} {{{', '.join(map(repr, texts))}}})", BOOL)
        if container.sure and (container.ty.name == "list" or (item.sure and item.ty.name == "str")):
            return Code(f"({item.text} {COMPARISONS[operand.op]} {container.text})", BOOL)
        negation = "not " if operand.op == "notin" else ""
        return Code(f"({negation}_contains({item.text}, {container.text}))", BOOL)

    # logic

    def _and(self, node: nodes.And) -> Code:
        parts = [self._code(part) for part in operands(node)]
        last = parts[-1]
        if all(part.ty.name == "model" for part in parts[:-1]):  # there or not: what counts is the last
            ty = last.ty if last.ty.name == "none" else last.ty.or_none()
        else:
            ty = _merged(node, parts)
        return Code(f"({' and '.join(part.text for part in parts)})", ty, absent=any(not part.sure for part in parts))

    def _or(self, node: nodes.Or) -> Code:
        parts = [self._code(part) for part in operands(node)]
        last = parts[-1]  # what is not there falls through to it
        ty = replace(_merged(node, parts), optional=last.ty.optional)
        return Code(f"({' or '.join(part.text for part in parts)})", ty, last.absent)

    def _not(self, node: nodes.Not) -> Code:
        return Code(f"(not {self._code(node.node).text})", BOOL)

    def _condexpr(self, node: nodes.CondExpr) -> Code:
        test, then = self._code(node.test), self._code(node.expr1)
        otherwise = Code("_N", then.ty, absent=True) if node.expr2 is None else self._code(node.expr2)
        ty = _merged(node, [then, otherwise])
        return Code(f"({then.text} if {test.text} else {otherwise.text})", ty, then.absent or otherwise.absent)

    # arithmetic

    def _add(self, node: nodes.Add) -> Code:
        return self._sum(node, "+", "_plus")

    def _sub(self, node: nodes.Sub) -> Code:
        return self._sum(node, "-", "_minus")

    def _sum(self, node: nodes.BinExpr, symbol: str, function: str) -> Code:
        left, right = self._code(node.left), self._code(node.right)
        ty = arithmetic_type(symbol, left.ty, right.ty)
        if ty is None:
            between = f"{described(left.ty)} and {described(right.ty)}"
            raise error_at(node, f"{symbol} does not go between {between}; join texts with ~")
        if left.sure and right.sure:
            return Code(f"({left.text} {symbol} {right.text})", ty)
        return Code(f"{function}({left.text}, {right.text})", ty, absent=True)

    def _neg(self, node: nodes.Neg) -> Code:
        value = self._code(node.node)
        if value.ty.name not in NUMERIC | {"any", "timedelta"}:
            raise error_at(node, f"{described(value.ty)} cannot be negated")
        if value.sure:
            return Code(f"(-{value.text})", INT if value.ty.name == "bool" else value.ty)
        return Code(f"_negative({value.text})", value.ty, absent=True)

    def _concat(self, node: nodes.Concat) -> Code:
        parts = [self._data(part) for part in node.nodes]
        return Code(
            "(" + " + ".join(part.text if _is_text(part) else f"_shown({part.text})" for part in parts) + ")", STR
        )

    # literals

    def _const(self, node: nodes.Const) -> Code:
        value = node.value
        if isinstance(value, int | float) and not -LARGEST_NUMBER < value < LARGEST_NUMBER:
            raise error_at(node, "the number is too large")
        ty = CONSTANTS[type(value)]
        return Code(repr(value), Ty("str", literals=frozenset({value})) if ty is STR else ty)

    def _list(self, node: nodes.List | nodes.Tuple) -> Code:
        return Code(f"[{', '.join(self._data(item).text for item in node.items)}]", ANYTHING)

    _tuple = _list


def _text_call(node: nodes.Call, name: str, method: Method, owner: Code, arguments: Sequence[Code]) -> Code:
    for argument, code in zip(node.args, arguments, strict=True):
        if code.ty.name not in ("str", "any"):
            raise error_at(argument, f"{name}() takes text, not {described(code.ty)}")
    given = ", ".join(code.text for code in arguments)
    if owner.sure and all(code.sure for code in arguments):
        return Code(f"{owner.text}.{name}({given})", method.result)
    return Code(f"_text_{name}({', '.join(code.text for code in (owner, *arguments))})", method.result, absent=True)


def _check_arguments(node: nodes.Filter, entry: Filter, named: Mapping[str, Code]) -> None:
    """Refuse arguments the filter does not take, and literal ones that can never work."""
    free = entry.arguments[len(node.args) :]
    for name in named:
        if name not in free:
            raise error_at(node, f"the filter {entry.name!r} takes no argument {name!r} here", name, free)
    _check_count(node, f"the filter {entry.name!r}", entry, len(node.args) + len(named))
    literals = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
    if entry.check is None or not literals or len(literals) < len(node.args):
        return
    try:
        entry.check(*literals)
    except UnfitValue as error:
        raise error_at(node, f"the filter {entry.name!r}: {error}") from None


def _check_count(node: nodes.Node, what: str, taker: Method | Test | Filter, count: int) -> None:
    if not taker.min_args <= count <= taker.max_args:
        raise error_at(node, f"{what} takes {_span(taker.min_args, taker.max_args)}, not {count}")


def _braced(text: str) -> str:
    """``text`` for use inside a format."""
    return text.replace("{", "{{").replace("}", "}}")


def _constant_texts(node: nodes.Node) -> list[str]:
    """The texts of a list of nothing else; none of any other node."""
    if not isinstance(node, nodes.List | nodes.Tuple):
        return []
    values = [item.value for item in node.items if isinstance(item, nodes.Const) and isinstance(item.value, str)]
    return values if len(values) == len(node.items) else []


def _is_text(code: Code) -> bool:
    return code.sure and code.ty.name == "str"


def _merged(node: nodes.Node, parts: Sequence[Code]) -> Ty:
    """The type of a value that is one of ``parts``; a state or object must be the same kind in all."""
    ty = parts[0].ty
    for part in parts[1:]:
        ty = merged(ty, part.ty)
    models = {part.ty.model for part in parts if part.ty.name == "model"}
    if ty.name == "any" and models:
        raise error_at(node, "a whole state or object cannot stand in for something else; use a test, or an attribute")
    return ty


def _some(code: Code) -> str:
    """The text of what is compared by order: none has no order and counts as nothing."""
    return code.text if code.sure else f"_some({code.text})"


def _span(least: int, most: int) -> str:
    if most == 0:
        return "no arguments"
    return f"{most} argument{'s' if most > 1 else ''}" if least == most else f"{least} to {most} arguments"


def _check_comparison(operand: nodes.Operand, left_node: nodes.Node, left: Code, right: Code) -> None:
    """Refuse comparisons that can never hold, or always raise."""
    _check_literals(operand.expr, left.ty)
    if operand.op in ("eq", "ne"):
        _check_literals(left_node, right.ty)
    if problem := comparison_problem(operand.op, left.ty, right.ty):
        raise error_at(operand.expr, problem)


def _check_literals(node: nodes.Node, ty: Ty) -> None:
    """Refuse a constant that a value of ``ty`` never has."""
    if ty.literals is None or len(ty.literals) < 2:
        return
    items = node.items if isinstance(node, (nodes.List, nodes.Tuple)) else [node]
    for item in items:
        if isinstance(item, nodes.Const) and isinstance(item.value, str) and item.value not in ty.literals:
            raise error_at(item, f"the value {item.value!r} can never match", item.value, ty.literals)
