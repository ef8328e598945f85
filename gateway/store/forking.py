"""Forking: no thread of ours is inside SQLite while the process forks.

SQLite has locks of its own. One that is taken while the process forks stays taken in the child for ever, by a thread
that is not there, and the child's first statement never ends.
"""

from __future__ import annotations

import os
import threading

PATIENCE_SECONDS = 0.5
"""How long a fork waits for what is in progress, at most; and what begins meanwhile for the fork."""


class Inside:
    """Counts the threads that are inside. Used by ``with``; cheap, since every transaction does."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._count = 0
        self._forking = False

    def __enter__(self) -> None:
        with self._changed:
            if self._forking:
                self._changed.wait_for(lambda: not self._forking, PATIENCE_SECONDS)
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            if self._forking and not self._count:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Let nobody in, and wait until nobody is."""
        self._changed.acquire()
        self._forking = True
        self._changed.wait_for(lambda: not self._count, PATIENCE_SECONDS)

    def after_fork(self) -> None:
        """In the parent: let them in again."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """In the child, where there is nobody else."""
        self._reset()


inside_sqlite = Inside()
"""Whoever calls SQLite does so within it."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=inside_sqlite.before_fork,
        after_in_parent=inside_sqlite.after_fork,
        after_in_child=inside_sqlite.after_fork_in_child,
    )
