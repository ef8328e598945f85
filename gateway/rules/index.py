"""Index: finds the checks that hold for a transition, at a cost that hardly grows with their number.

Each check is filed under its rarest need (a flow's name, a tag, the beginning of a name …); the few
that need nothing of the kind are kept together. Within such a group, the checks that can hold in one
cell (state type and kind) are fused, when first asked for, into a single function: fields are loaded
once, equal conditions are evaluated once, and one that raises hides no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.rules.expression import Check
from gateway.rules.lowering import BUILTINS, prologue
from gateway.rules.needs import CELLS
from gateway.transition import Transition

Errors = list[tuple[int, Exception]]
Matcher = Callable[[Transition, list[int], Errors], None]

MOST_FUSED = 500
"""Conditions in one generated function; more make several."""

PREFIX = "prefix"

_READS = {
    "obj.name": "e.obj.name",
    "flow.name": "e.flow.name",
    "task.name": "e.obj.name if e.kind == 'task' else None",
}
_TAGS = {"obj.tags": "e.obj.tags", "flow.tags": "e.flow.tags"}


class Group(dict[int, Matcher]):
    """Checks filed under the same need, with a function for each cell they were asked about.

    The function of a cell appends to a list the positions of those checks that hold. It is made when it is
    first looked up; looking up what is there runs no Python.
    """

    __slots__ = ("_checks", "positions")

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__()
        self._checks = checks
        self.positions: list[int] = []

    def __missing__(self, cell: int) -> Matcher:
        within = [position for position in self.positions if self._checks[position].need.cells >> cell & 1]
        matcher = self[cell] = _fused(self._checks, within)
        return matcher


class Index:
    """An index of checks, by their positions.

    Args:
        checks: in the order in which matches are reported.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = tuple(checks)
        self._tables: dict[str, dict[str, Group]] = {}
        self._prefixes: dict[int, dict[str, Group]] = {}
        self._rest = Group(self._checks)
        self._file_all()
        self._find = self._compiled()

    @property
    def unindexed(self) -> int:
        """How many checks must be asked about every transition of their cells."""
        return len(self._rest.positions)

    def match(self, transition: Transition, errors: Errors | None = None) -> list[int]:
        """The positions of the checks that hold, ascending; those that raise are noted in ``errors``."""
        found: list[int] = []
        self._find(transition, found, [] if errors is None else errors)
        return sorted(set(found)) if len(found) > 1 else found

    # filing

    def _file_all(self) -> None:
        """File every check under the need it shares with the fewest others."""
        options = [_options(check) for check in self._checks]
        frequency = Counter(key for choices in options for keys in choices for key in keys)
        for position, choices in enumerate(options):
            if not choices:
                self._rest.positions.append(position)
                continue
            for table, value in min(choices, key=lambda keys: sum(frequency[key] for key in keys)):
                self._group(table, value).positions.append(position)

    def _group(self, table: str, value: str) -> Group:
        groups = self._prefixes.setdefault(len(value), {}) if table == PREFIX else self._tables.setdefault(table, {})
        group = groups.get(value)
        if group is None:
            group = groups[value] = Group(self._checks)
        return group

    # looking up

    def _compiled(self) -> Matcher:
        """The look-up as one function: only the tables that are used, no loop over them."""
        lines = ["def find(e, r, x):", " c = CELLS[e.state.type, e.kind]"]
        names: dict[str, Any] = {"CELLS": CELLS, "rest": self._rest}
        for number, (table, groups) in enumerate(self._tables.items()):
            names[f"t{number}"] = groups
            if table in _TAGS:
                lines += [f" for v in {_TAGS[table]}:", f"  g = t{number}.get(v)", f"  {_ASK}"]
            else:
                lines += [f" g = t{number}.get({_READS[table]})", f" {_ASK}"]
        for length, groups in self._prefixes.items():
            names[f"p{length}"] = groups
            lines += [f" g = p{length}.get(e.flow.name[:{length}])", f" {_ASK}"]
        if self._rest.positions:
            lines.append(" rest[c](e, r, x)")
        exec("\n".join(lines), names)
        return names["find"]  # type: ignore[no-any-return]


_ASK = "if g is not None: g[c](e, r, x)"


def _options(check: Check) -> list[tuple[tuple[str, str], ...]]:
    """The ways ``check`` can be filed: each a set of keys, all of which it must then be filed under."""
    need = check.need
    options = [tuple((name, value) for value in sorted(values)) for name, values in need.values.items()]
    if need.prefixes:
        options.append(tuple((PREFIX, prefix) for prefix in _shortest(need.prefixes)))
    return options


def _shortest(prefixes: Iterable[str]) -> list[str]:
    """Those that no other is the beginning of."""
    kept: list[str] = []
    for prefix in sorted(prefixes, key=len):
        if not prefix.startswith(tuple(kept)):
            kept.append(prefix)
    return kept


def _fused(checks: Sequence[Check], positions: Sequence[int]) -> Matcher:
    """One function for all ``positions``; several in a row if they are very many."""
    by_code: dict[str, list[int]] = {}
    for position in positions:
        by_code.setdefault(checks[position].lowered.text, []).append(position)
    groups = [*by_code.items()]
    parts = [_function(checks, groups[start : start + MOST_FUSED]) for start in range(0, len(groups), MOST_FUSED)]
    if len(parts) == 1:
        return parts[0]

    def each(transition: Transition, found: list[int], errors: Errors) -> None:
        for part in parts:
            part(transition, found, errors)

    return each


def _function(checks: Sequence[Check], groups: Sequence[tuple[str, list[int]]]) -> Matcher:
    names, body = dict(BUILTINS), []
    loads: dict[str, str] = {}
    lazy: set[str] = set()
    for code, positions in groups:
        lowered = checks[positions[0]].lowered
        names |= lowered.names
        loads |= lowered.loads
        lazy |= lowered.lazy
        action = f"a({positions[0]})" if len(positions) == 1 else f"r.extend({positions})"
        noted = f"x.extend([(n, error) for n in {positions}])"
        body.append(f" try:\n  if {code}: {action}\n except Exception as error: {noted}\n")  # free unless it raises
    source = f"def matches(e, r, x):\n a = r.append\n{prologue(loads, lazy)}{''.join(body)}"
    exec(compile(source, "<handlers>", "exec"), names)
    return names["matches"]  # type: ignore[no-any-return]
