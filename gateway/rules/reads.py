"""Reads: which fields of runs an expression or template reads that a source may have to fetch.

Not every source tells them with each transition, and to ask for them costs: they are fetched for those transitions
only that a handler which reads them may match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

from gateway.rules.needs import path_of

FETCHED = frozenset({"parameters", "started_at", "log", "max_retries"})
"""Fields of a run that a source may have to fetch."""

NO_READS: frozenset[str] = frozenset()

_OWNERS = ("obj", "task", "flow")
_NOT_RUNS = frozenset({"state", "old_state", "event", "handler", "loop"})


def may_read(source: str | None) -> bool:
    """Whether ``source`` can read any of them at all: to search a text is quicker than to walk through its nodes."""
    return source is not None and any(name in source for name in FETCHED)


def reads_of(parsed: Iterable[nodes.Node]) -> frozenset[str]:
    """What is read, as ``"flow.parameters"``, ``"obj.log"`` …; of something that may be any run, of all."""
    return frozenset(read for root in parsed for node in _attributes(root) for read in _reads(node)) or NO_READS


def _attributes(root: nodes.Node) -> Iterator[nodes.Getattr]:
    if isinstance(root, nodes.Getattr):
        yield root
    yield from root.find_all(nodes.Getattr)


def _reads(node: nodes.Getattr) -> Iterator[str]:
    if node.attr not in FETCHED:
        return
    match path_of(node.node):
        case ("obj" | "task" | "flow" as owner,):
            yield f"{owner}.{node.attr}"
        case ("obj" | "task", "flow"):
            yield f"flow.{node.attr}"
        case (name, *_) if name in _NOT_RUNS or name in _OWNERS:  # data that happens to have such a key
            return
        case _:
            yield from (f"{owner}.{node.attr}" for owner in _OWNERS)
