"""Index: finds the checks that hold for a transition, at a cost that hardly grows with their number.

Each check is filed under its rarest need (a flow's name, a tag, the beginning of a name …); the few
that need nothing of the kind are kept together. Within such a group, the checks that can hold in one
cell (state type and kind) are fused, when first asked for, into a single function: fields are loaded
once, conditions that the cell decides are left out, and one that raises hides no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from gateway.rules.expression import Check
from gateway.rules.lowering import Lowered, prologue
from gateway.rules.needs import CELLS, TAGS, Texts
from gateway.rules.nothing import BUILTINS
from gateway.transition import Transition

Errors = list[tuple[int, Exception]]
Matcher = Callable[[Transition, list[int], Errors], None]
"""Appends to two lists: positions of checks that hold, and of those that raise with what they raise."""

MOST_FUSED = 500
"""Checks in one generated function; more make several."""


class Key(NamedTuple):
    """What a check is filed under: how a field is read, and a value of it or (``begins``) its first characters."""

    read: str
    text: str
    begins: bool


class Group(dict[int, Matcher]):
    """Checks filed under the same key, with a matcher for each cell they were asked about.

    A cell's matcher is made when it is first looked up; looking up what is there runs no Python.
    """

    __slots__ = ("_checks", "_names", "positions")

    def __init__(self, checks: Sequence[Check], names: dict[str, Any]) -> None:
        super().__init__()
        self._checks, self._names = checks, names
        self.positions: list[int] = []

    def __missing__(self, cell: int) -> Matcher:
        within = [position for position in self.positions if self._checks[position].need.cells >> cell & 1]
        matcher = self[cell] = _fused(self._checks, within, self._names)
        return matcher


class Index:
    """An index of checks, by their positions. Safe to ask from several threads.

    Args:
        checks: in the order in which matches are reported.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = tuple(checks)
        self._names = dict(BUILTINS)
        self._rest = Group(self._checks, self._names)
        self._groups: dict[Key, Group] = {}
        self._file_all()
        self._find = self._compiled()

    @property
    def unindexed(self) -> int:
        """How many checks must be asked about every transition of their cells."""
        return len(self._rest.positions)

    def match(self, transition: Transition, errors: Errors | None = None) -> list[int]:
        """The positions of the checks that hold, ascending; those that raise are noted in ``errors``."""
        found: list[int] = []
        raised: Errors = []
        self._find(transition, found, raised)
        if raised and errors is not None:
            errors += sorted(dict(raised).items())
        return sorted(set(found)) if len(found) > 1 else found  # one filed under two tags is found by both

    # filing

    def _file_all(self) -> None:
        """File every check under the need it shares with the fewest others."""
        options = [_options(check) for check in self._checks]
        frequency = Counter(key for choices in options for keys in choices for key in keys)
        for position, choices in enumerate(options):
            if not choices:
                self._rest.positions.append(position)
                continue
            for key in min(choices, key=lambda keys: sum(frequency[key] for key in keys)):
                self._group(key).positions.append(position)

    def _group(self, key: Key) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(self._checks, self._names)
        return group

    # looking up

    def _compiled(self) -> Matcher:
        """The look-up as one function: only the fields and lengths that are used, no loop over them."""
        names: dict[str, Any] = {"CELLS": CELLS, "label": _label, "rest": self._rest, "str": str}
        lines = ["def find(e, r, x):", " c = CELLS[e.state.type, e.kind]"]
        for number, (read, tables) in enumerate(self._tables().items()):
            lines.append(f" for v in {read}:" if read in TAGS else f" v = {read}")
            indent = "  " if read in TAGS else " "
            for length, table in tables.items():
                name = f"t{number}_{length}"
                names[name] = table
                lines.append(f"{indent}g = {name}.get(v[:{length}])" if length else f"{indent}g = {name}.get(v)")
                lines.append(f"{indent}if g is not None: g[c](e, r, x)")
        if self._rest.positions:
            lines.append(" rest[c](e, r, x)")
        exec("\n".join(lines), names)
        return names["find"]  # type: ignore[no-any-return]

    def _tables(self) -> Mapping[str, Mapping[int, Mapping[str, Group]]]:
        """For each field, and each length of beginning (0: the whole), the groups by text."""
        tables: dict[str, dict[int, dict[str, Group]]] = {}
        for key, group in self._groups.items():
            length = len(key.text) if key.begins else 0
            tables.setdefault(key.read, {}).setdefault(length, {})[key.text] = group
        return tables


def _label(labels: Mapping[str, str], name: str) -> str:
    """The value of a label; labels come from outside, so it is made sure that it is a text."""
    value = labels.get(name)
    return value if isinstance(value, str) else ""


def _options(check: Check) -> list[list[Key]]:
    """The ways ``check`` can be filed: each a list of keys, under all of which it must then be filed."""
    return [_keys(read, texts) for read, texts in check.need.texts.items()]


def _keys(read: str, texts: Texts) -> list[Key]:
    return [
        *(Key(read, text, False) for text in sorted(texts.values)),
        *(Key(read, text, True) for text in sorted(texts.prefixes)),
    ]


# fusing

Branches = dict[str, list[int]]
"""Positions of checks by what remains of their condition."""


def _fused(checks: Sequence[Check], positions: Sequence[int], names: dict[str, Any]) -> Matcher:
    """One matcher for all ``positions``, which are asked in a row in functions of bounded size."""
    starts = range(0, max(len(positions), 1), MOST_FUSED)
    parts = [_function(checks, positions[start : start + MOST_FUSED], names) for start in starts]
    if len(parts) == 1:
        return parts[0]

    def each(transition: Transition, found: list[int], errors: Errors) -> None:
        for part in parts:
            part(transition, found, errors)

    return each


def _function(checks: Sequence[Check], positions: Sequence[int], names: dict[str, Any]) -> Matcher:
    undecided = {position: _undecided(checks[position]) for position in positions}
    lowered = [*chain.from_iterable(undecided.values())]
    for part in lowered:
        names.update(part.names)
    body = "".join(_statements(_tree(undecided)))
    source = f"def matches(e, r, x):\n a = r.append\n{prologue(lowered)}{body}"
    made: dict[str, Any] = {}  # threads may build at the same time: the function's own name is in no shared dict
    exec(compile(source, "<handlers>", "exec"), names, made)
    return made["matches"]  # type: ignore[no-any-return]


def _undecided(check: Check) -> list[Lowered]:
    """The conditions of ``check`` that are not already true in every cell it can hold in."""
    return [condition.lowered for condition in check.parts if not condition.need.exact]


def _tree(undecided: Mapping[int, Sequence[Lowered]]) -> dict[str, Branches]:
    """Positions by their first condition, and under it by the others joined: each first one is asked once."""
    tree: dict[str, Branches] = {}
    for position, conditions in undecided.items():
        first, *others = (condition.text for condition in conditions) if conditions else ("",)
        tree.setdefault(first, {}).setdefault(" and ".join(others), []).append(position)
    return tree


def _statements(tree: Mapping[str, Branches]) -> Iterator[str]:
    for first, branches in tree.items():
        if len(branches) == 1:
            ((others, positions),) = branches.items()
            yield from _attempt(" and ".join(filter(None, (first, others))), positions, " ")
        else:
            yield from _nested(first, branches)


def _nested(first: str, branches: Branches) -> Iterator[str]:
    """The first condition, and in its own guard each way to go on; all fail alike if the first raises."""
    yield f" try:\n  if {first}:\n"
    for others, positions in branches.items():
        yield from _attempt(others, positions, "   ")
    yield f" except Exception as error:\n{_noted([*chain.from_iterable(branches.values())])}"


def _attempt(condition: str, positions: list[int], indent: str) -> Iterator[str]:
    found = f"a({positions[0]})" if len(positions) == 1 else f"r.extend({positions})"
    if not condition:
        yield f"{indent}{found}\n"
        return
    yield f"{indent}try:\n{indent} if {condition}: {found}\n"  # free on Python 3.11 unless it raises
    yield f"{indent}except Exception as error:\n{indent}{_noted(positions)}"


def _noted(positions: list[int]) -> str:
    return f"  x.extend([(n, error) for n in {positions}])\n"
