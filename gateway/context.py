"""The run context: what is known about the run in progress, by name.

The runner of :mod:`gateway.flows` fills it (``flow_name``, ``task_run_count`` …); scripts and
tests add to it with ``with context(secrets={"TOKEN": "…"}):``. It follows the current thread or
asynchronous task and is empty outside a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

_values: ContextVar[Mapping[str, Any]] = ContextVar("gateway_run_context", default=MappingProxyType({}))


class RunContext(Mapping[str, Any]):
    """A read-only mapping of the current context; call it to add keys for the length of a ``with`` block."""

    @contextmanager
    def __call__(self, **values: Any) -> Iterator[RunContext]:
        """Add ``values``, over those already there, until the block ends."""
        token = _values.set(MappingProxyType({**_values.get(), **values}))
        try:
            yield self
        finally:
            _values.reset(token)

    def snapshot(self) -> Mapping[str, Any]:
        """The values as they are now, read-only; quicker to read many of."""
        return _values.get()

    def __getitem__(self, key: str) -> Any:
        return _values.get()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_values.get())

    def __len__(self) -> int:
        return len(_values.get())

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default`` where the current run does not define it."""
        return _values.get().get(key, default)

    def __getattr__(self, key: str) -> Any:
        try:
            return _values.get()[key]
        except KeyError:
            raise AttributeError(f"the run context has no {key!r}") from None

    def __repr__(self) -> str:
        """Names only: a context may hold secrets."""
        return f"<context: {', '.join(self)}>"


context = RunContext()
