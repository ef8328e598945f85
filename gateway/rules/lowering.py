"""Lowering: from a parsed expression, type-checked on the way, to one Python expression.

No sandbox is left at run time because nothing is left to guard: every name, attribute, method,
test and filter was resolved against :mod:`gateway.rules.schema`, and untyped data is read by key only.

What is not there (a key of untyped data, a field of a state that is not known) is :class:`Nothing`:
false, equal to nothing, neither less nor more than anything, and so is whatever is asked of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from jinja2 import ChainableUndefined, Undefined, nodes

from gateway.rules.filters import FILTERS
from gateway.rules.operators import NUMERIC, ORDERINGS, arithmetic_type, comparison_problem, described
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
    READERS,
    STR,
    STR_METHODS,
    Method,
    Root,
    Ty,
)
from gateway.rules.syntax import Position, error_at

MOST_NODES = 200
DEEPEST = 24
LARGEST_NUMBER = 2**63

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}
CONSTANTS: Mapping[type, Ty] = {str: STR, bool: BOOL, int: INT, float: FLOAT, type(None): NONE}
REFUSED = {
    "Mul": "*",
    "Div": "/",
    "FloorDiv": "//",
    "Mod": "%",
    "Pow": "**",
    "Slice": "a slice",
    "Dict": "a mapping",
}


class Nothing(ChainableUndefined):
    """What is not there. Falsy, chainable, and no part of any order."""

    __slots__ = ()

    def _never(self, _: object) -> bool:
        return False

    def _nothing(self, *_: object) -> Nothing:
        return self

    __lt__ = __le__ = __gt__ = __ge__ = _never  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mod__ = __neg__ = _nothing  # type: ignore[assignment]
    __hash__ = Undefined.__hash__


NOTHING = Nothing()


def get(data: Any, key: Any) -> Any:
    """The value of ``key`` in untyped data: of mappings and lists only, never an attribute."""
    if type(data) is dict:
        return data.get(key, NOTHING)
    if isinstance(data, (list, tuple)) and type(key) is int and -len(data) <= key < len(data):
        return data[key]
    return NOTHING


def contains(item: Any, container: Any) -> bool:
    """``item in container``, where neither need be there."""
    return container is not None and item is not NOTHING and item in container


def some(value: Any) -> Any:
    """``value``; nothing instead of none, which has no order."""
    return NOTHING if value is None else value


def written(value: Any) -> str:
    """``value`` as ``~`` joins it, in templates too: nothing and none are empty."""
    return "" if value is None or value is NOTHING else str(value)


BUILTINS: Mapping[str, Any] = {
    **READERS,
    "_N": NOTHING,
    "_unread": object(),
    "_Undefined": Undefined,
    "_get": get,
    "_contains": contains,
    "_some": some,
    "_written": written,
    **{f"_filter_{name}": entry.function for name, entry in FILTERS.items()},
    **{f"_test_{name}": test.function for name, test in TESTS.items()},
    "isinstance": isinstance,
    "str": str,
    "Exception": Exception,
    "__builtins__": {},
}
"""The only names lowered code can reach, beside its transition ``e`` and its own patterns."""


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of Python and its static type. ``absent``: its value may be :class:`Nothing`."""

    text: str
    ty: Ty
    absent: bool = False

    @property
    def sure(self) -> bool:
        """Whether there is certainly a value."""
        return not (self.absent or self.ty.optional or self.ty.name == "any")


@dataclass(slots=True)
class Lowered:
    """A lowered expression.

    Attributes:
        text: the Python expression, over ``e``, the names of ``loads``, ``names`` and :data:`BUILTINS`.
        loads: local names and the fields of ``e`` to load into them first; none of these can fail.
        lazy: local names that must be ``_unread`` first; the expression fills them when it needs them.
        names: the patterns it uses.
        ty: the type of its value.
    """

    text: str = ""
    loads: dict[str, str] = field(default_factory=dict)
    lazy: set[str] = field(default_factory=set)
    names: dict[str, Any] = field(default_factory=dict)
    ty: Ty = ANY


def prologue(loads: Mapping[str, str], lazy: Iterable[str]) -> str:
    """The statements that must stand before lowered code."""
    lines = [f" {name} = {read}\n" for name, read in loads.items()]
    return "".join([*lines, *(f" {name} = _unread\n" for name in sorted(lazy))])


def lower(expression: nodes.Expr, scope: Mapping[str, Root], source: str) -> Lowered:
    """Type-check ``expression`` and lower it.

    Args:
        expression: parsed by :func:`gateway.rules.syntax.parse_expression`.
        scope: the names it may start from.
        source: its text, from which patterns are taken as written.

    Raises:
        LanguageError: something in it is unknown, of the wrong type, can never match, or is too much.
    """
    lowering = Lowering(scope, source)
    code = lowering.lower(expression)
    lowering.out.text, lowering.out.ty = code.text, code.ty
    return lowering.out


class Lowering:
    """One expression on its way; a method per kind of node."""

    def __init__(self, scope: Mapping[str, Root], source: str) -> None:
        self.out = Lowered()
        self._scope, self._source = scope, source
        self._nodes = self._depth = self._temporaries = 0

    def lower(self, node: nodes.Node) -> Code:
        """The code of ``node``."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > MOST_NODES or self._depth > DEEPEST:
            raise error_at(node, "the expression is too large; split it into several handlers")
        kind = type(node).__name__
        visit: Callable[[Any], Code] | None = getattr(self, f"_{kind.lower()}", None)
        if visit is None:
            raise error_at(node, f"{REFUSED.get(kind, kind)} is not allowed in an expression")
        code = visit(node)
        self._depth -= 1
        return code

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _load(self, read: str) -> str:
        """A local name for a field that is cheap and safe to read ahead."""
        if read == "e":
            return read
        name = read.replace(".", "_")
        self.out.loads[name] = read
        return name

    def _read_once(self, owner: Code, attribute: str, read: str) -> str:
        """A field that costs something to read: read when first needed, then kept, over all fused conditions."""
        name = f"{owner.text}_{attribute}"
        if not name.isidentifier():
            return read.format(owner.text)
        self.out.lazy.add(name)
        return f"({name} if {name} is not _unread else ({name} := {read.format(owner.text)}))"

    def _predicate(self, owner: Code, name: str, use: str) -> str:
        """Whether a state is of a kind: asked ahead, once for all fused conditions, where there certainly is one."""
        read = self.out.loads.get(owner.text)
        if read is None or not owner.sure or name == "is_final":
            return self._guarded(owner, use, "False")
        local = f"{owner.text}_{name}"
        self.out.loads[local] = use.format(read)
        return local

    def _guarded(self, code: Code, use: str, otherwise: str = "_N") -> str:
        """``use``, a format of the value, where there certainly is one; ``otherwise`` where there is none."""
        if code.sure:
            return use.format(code.text)
        value = self._temporary()
        return f"({use.format(value)} if ({value} := {code.text}) else {otherwise})"

    def _word(self, node: nodes.Node, word: str) -> nodes.Node:
        """Something to point at: ``word`` in the source behind ``node``, which knows the place of its operator only."""
        lines = self._source.split("\n")
        column = getattr(node.lineno, "column", 1)
        found = re.compile(rf"\b{re.escape(word)}\b").search(lines[node.lineno - 1], column - 1)
        if found is None:
            return node
        position = Position(node.lineno)
        position.column = found.start() + 1
        return nodes.Const(word, lineno=position)

    # names and fields

    def _name(self, node: nodes.Name) -> Code:
        root = self._scope.get(node.name)
        if root is None:
            raise error_at(node, f"unknown name {node.name!r}", node.name, self._scope)
        return Code(self._load(root.read), root.ty)

    def _getattr(self, node: nodes.Getattr) -> Code:
        owner = self.lower(node.node)
        if owner.ty.name in ("any", "dict"):
            return Code(f"_get({owner.text}, {node.attr!r})", owner.ty.item or ANY, absent=True)
        model = owner.ty.model
        if model is None:
            raise error_at(node, f"{described(owner.ty)} has no attribute {node.attr!r}")
        known = model.fields.get(node.attr)
        if known is None:
            message = f"{model.name} has no attribute {node.attr!r}"
            if node.attr in model.methods:
                raise error_at(node, f"{node.attr!r} must be called: write {node.attr}()")
            raise error_at(self._word(node, node.attr), message, node.attr, [*model.fields, *model.methods])
        if not owner.sure:
            return Code(self._guarded(owner, known.read or f"{{0}}.{node.attr}"), known.ty, absent=True)
        if known.read:
            return Code(self._read_once(owner, node.attr, known.read), known.ty)
        return Code(self._load(f"{self.out.loads.get(owner.text, owner.text)}.{node.attr}"), known.ty)

    def _getitem(self, node: nodes.Getitem) -> Code:
        owner, key = self.lower(node.node), self.lower(node.arg)
        if owner.ty.name not in ("any", "dict", "list"):
            raise error_at(node, f"{described(owner.ty)} has no items; use .attribute")
        return Code(f"_get({owner.text}, {key.text})", owner.ty.item or ANY, absent=True)

    # calls, tests, filters

    def _call(self, node: nodes.Call) -> Code:
        if not isinstance(node.node, nodes.Getattr) or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise error_at(node, "only methods can be called, and without keywords")
        owner, name = self.lower(node.node.node), node.node.attr
        method = self._method(node.node, owner.ty)
        if not method.min_args <= len(node.args) <= method.max_args:
            raise error_at(node, f"{name}() takes {_span(method.min_args, method.max_args)}, not {len(node.args)}")
        arguments = [self.lower(argument) for argument in node.args]
        for argument, code in zip(node.args, arguments, strict=True):
            if owner.ty.name == "str" and code.ty.name not in ("str", "any"):
                raise error_at(argument, f"{name}() takes text, not {described(code.ty)}")
        if owner.ty.model is not None:
            return Code(self._predicate(owner, name, method.code), method.result)
        given = ", ".join(code.text for code in arguments).replace("{", "{{").replace("}", "}}")
        if owner.ty.name == "str" and not owner.sure:  # an empty text is false too, so ask for text
            receiver = self._temporary()
            call = f"{receiver}.{name}(" + given.replace("{{", "{").replace("}}", "}") + ")"
            return Code(f"({call} if isinstance({receiver} := {owner.text}, str) else _N)", method.result, absent=True)
        return Code(self._guarded(owner, f"{{0}}.{name}({given})"), method.result, absent=not owner.sure)

    def _method(self, node: nodes.Getattr, ty: Ty) -> Method:
        methods = ty.model.methods if ty.model else {"str": STR_METHODS, "dict": DICT_METHODS}.get(ty.name, {})
        method = methods.get(node.attr)
        if method is None and ty.name == "any":
            raise error_at(node, f"{node.attr!r} cannot be called on untyped data; use a test or a filter")
        if method is None:
            message = f"{described(ty)} has no method {node.attr!r}"
            raise error_at(self._word(node, node.attr), message, node.attr, methods)
        return method

    def _test(self, node: nodes.Test) -> Code:
        value, test = self.lower(node.node), TESTS.get(node.name)
        if test is None:
            raise error_at(self._word(node, node.name), f"unknown test {node.name!r}", node.name, TESTS)
        if not test.takes(value.ty):
            wanted = "a state" if test.scope == "state" else "text" if test.scope == "text" else "data"
            raise error_at(node, f"the test {node.name!r} needs {wanted}, not {described(value.ty)}")
        if not test.min_args <= len(node.args) <= test.max_args or node.kwargs:
            raise error_at(node, f"the test {node.name!r} takes {_span(test.min_args, test.max_args)}")
        if node.name in ("search", "match", "glob"):
            return self._pattern_test(node, value)
        arguments = [self.lower(argument).text for argument in node.args]
        if not test.code:
            return Code(f"_test_{test.name}({', '.join([value.text, *arguments])})", BOOL)
        return Code(self._coded_test(test, value), BOOL)

    def _coded_test(self, test: Test, value: Code) -> str:
        if test.scope == "state":
            return self._predicate(value, f"is_{test.name}", test.code)
        return test.code.format(value.text)

    def _pattern_test(self, node: nodes.Test, value: Code) -> Code:
        operand = node.args[0]
        if not isinstance(operand, nodes.Const) or not isinstance(operand.value, str):
            raise error_at(operand, f"the test {node.name!r} needs a text in quotes")
        pattern = operand.value if node.name == "glob" else self._as_written(operand)
        try:
            found = known_glob(pattern) if node.name == "glob" else getattr(known_pattern(pattern), node.name)
        except PatternError as error:
            raise error_at(operand, str(error)) from None
        name = f"_{node.name}_{blake2b(pattern.encode(), digest_size=8).hexdigest()}"
        self.out.names[name] = found
        use = f"({name}({{0}}) is not None)" if node.name == "glob" else f"{name}({{0}})"
        if value.sure:
            return Code(use.format(value.text), BOOL)
        subject = self._temporary()
        return Code(f"(isinstance({subject} := {value.text}, str) and {use.format(subject)})", BOOL)

    def _as_written(self, operand: nodes.Const) -> str:
        """A pattern without Jinja's own escapes: ``\\b`` is a word boundary, not a backspace."""
        position = operand.lineno
        line = self._source.split("\n")[position - 1]
        written = _LITERAL.match(line, getattr(position, "column", 1) - 1)
        if written is None:
            return str(operand.value)
        return written[0][1:-1].replace("\\" + written[0][0], written[0][0])

    def _filter(self, node: nodes.Filter) -> Code:
        entry = FILTERS.get(node.name)
        if entry is None:
            raise error_at(node, f"unknown filter {node.name!r}", node.name, FILTERS)
        if node.node is None or node.dyn_args or node.dyn_kwargs:
            raise error_at(node, f"the filter {node.name!r} needs a value and plain arguments")
        value = self.lower(node.node)
        if value.ty.name not in entry.takes | {"any", "none"}:
            raise error_at(node, f"the filter {node.name!r} cannot be used on {described(value.ty)}")
        arguments = [self.lower(argument) for argument in node.args]
        named = {keyword.key: self.lower(keyword.value).text for keyword in node.kwargs}
        if unknown := [key for key in named if key not in entry.arguments[len(arguments) :]]:
            raise error_at(node, f"the filter {node.name!r} takes no argument {unknown[0]!r} here")
        if not entry.min_args <= len(arguments) + len(named) <= entry.max_args:
            raise error_at(node, f"the filter {node.name!r} takes {_span(entry.min_args, entry.max_args)}")
        given = "".join(
            [*(f", {code.text}" for code in arguments), *(f", {key}={text}" for key, text in named.items())]
        )
        result = entry.result_for(value.ty, arguments[0].ty if arguments else None)
        if entry.shape == "default":
            return Code(f"_filter_{entry.name}({value.text}{given})", result)
        if value.sure:
            return Code(f"_filter_{entry.name}({value.text}{given})", result, absent=entry.shape == "element")
        subject = self._temporary()
        missing = f"({subject} := {value.text}) is _N or {subject} is None"
        return Code(f"(_N if {missing} else _filter_{entry.name}({subject}{given}))", result, absent=True)

    # operators

    def _compare(self, node: nodes.Compare) -> Code:
        left_node, left = node.expr, self.lower(node.expr)
        steps = []
        for operand in node.ops:
            right = self._operand(operand, left)
            _check_comparison(operand, left_node, left, right)
            steps.append((operand.op, left, right))
            left_node, left = operand.expr, right
        if len(steps) > 1:
            return Code(self._chain(steps), BOOL)
        return Code(self._comparison(*steps[0]), BOOL)

    def _chain(self, steps: list[tuple[str, Code, Code]]) -> str:
        """``a < b <= c``; membership in a chain would need each part once, and reads badly anyway."""
        parts = [_ordered(op, steps[0][1]) if number == 0 else "" for number, (op, _, _) in enumerate(steps[:1])]
        for op, _, right in steps:
            parts.append(f" {COMPARISONS[op]} {_ordered(op, right)}")
        return f"({''.join(parts)})"

    def _operand(self, operand: nodes.Operand, left: Code) -> Code:
        """The right side; a list of constants becomes a set where that is safe to search."""
        literal = operand.expr
        if operand.op in ("in", "notin") and isinstance(literal, (nodes.List, nodes.Tuple)) and left.ty.name == "str":
            values = [item.value for item in literal.items if isinstance(item, nodes.Const)]
            if values and len(values) == len(literal.items) and all(isinstance(value, str) for value in values):
                self._nodes += len(values)
                return Code(f"{{{', '.join(map(repr, values))}}}", ANYTHING)
        return self.lower(literal)

    def _comparison(self, op: str, left: Code, right: Code) -> str:
        if op in ("in", "notin"):
            negation = "not " if op == "notin" else ""
            if right.sure and (right.ty.name != "str" or left.sure):
                return f"({left.text} {COMPARISONS[op]} {right.text})"
            return f"({negation}_contains({left.text}, {right.text}))"
        return f"({_ordered(op, left)} {COMPARISONS[op]} {_ordered(op, right)})"

    def _and(self, node: nodes.And) -> Code:
        return self._either(node, "and")

    def _or(self, node: nodes.Or) -> Code:
        return self._either(node, "or")

    def _either(self, node: nodes.BinExpr, word: str) -> Code:
        left, right = self.lower(node.left), self.lower(node.right)
        return Code(
            f"({left.text} {word} {right.text})",
            left.ty if left.ty == right.ty else ANY,
            not (left.sure and right.sure),
        )

    def _not(self, node: nodes.Not) -> Code:
        return Code(f"(not {self.lower(node.node).text})", BOOL)

    def _neg(self, node: nodes.Neg) -> Code:
        value = self.lower(node.node)
        if value.ty.name not in NUMERIC | {"any", "timedelta"}:
            raise error_at(node, f"{described(value.ty)} cannot be negated")
        return Code(f"(-{value.text})", value.ty, value.absent)

    def _add(self, node: nodes.Add) -> Code:
        return self._arithmetic(node, "+")

    def _sub(self, node: nodes.Sub) -> Code:
        return self._arithmetic(node, "-")

    def _arithmetic(self, node: nodes.BinExpr, symbol: str) -> Code:
        left, right = self.lower(node.left), self.lower(node.right)
        ty = arithmetic_type(symbol, left.ty, right.ty)
        if ty is None:
            between = f"{described(left.ty)} and {described(right.ty)}"
            raise error_at(node, f"{symbol} does not go between {between}; join texts with ~")
        text = f"(_some({left.text}) {symbol} _some({right.text}))" if not (left.sure and right.sure) else ""
        return Code(text or f"({left.text} {symbol} {right.text})", ty, not (left.sure and right.sure))

    def _concat(self, node: nodes.Concat) -> Code:
        return Code("(" + " + ".join(f"_written({self.lower(part).text})" for part in node.nodes) + ")", STR)

    def _condexpr(self, node: nodes.CondExpr) -> Code:
        test, yes = self.lower(node.test), self.lower(node.expr1)
        no = self.lower(node.expr2) if node.expr2 is not None else Code("_N", ANY, absent=True)
        ty = yes.ty if yes.ty == no.ty else ANY
        return Code(f"({yes.text} if {test.text} else {no.text})", ty, yes.absent or no.absent)

    # literals

    def _const(self, node: nodes.Const) -> Code:
        value = node.value
        if isinstance(value, (int, float)) and not -LARGEST_NUMBER < value < LARGEST_NUMBER:
            raise error_at(node, "the number is too large")
        ty = CONSTANTS[type(value)]
        return Code(repr(value), Ty("str", literals=frozenset({value})) if ty is STR else ty)

    def _list(self, node: nodes.List) -> Code:
        return Code("[" + ", ".join(self.lower(item).text for item in node.items) + "]", ANYTHING)

    def _tuple(self, node: nodes.Tuple) -> Code:
        return Code("(" + "".join(f"{self.lower(item).text}, " for item in node.items) + ")", ANYTHING)


_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def _ordered(op: str, code: Code) -> str:
    """The text of an operand of a comparison; what has no order is nothing."""
    return f"_some({code.text})" if op in ORDERINGS and not code.sure else code.text


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
