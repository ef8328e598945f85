"""What lowered expressions run on: values that may not be there, and operations that bear with them.

What is not there (a key of untyped data, a field of a state that is not known) is :class:`Nothing`:
false, equal to nothing else, neither less nor more than anything, and so is whatever is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import ChainableUndefined, Undefined

from gateway.rules.filters import FILTERS
from gateway.rules.operators import arithmetic
from gateway.rules.predicates import TESTS, is_in
from gateway.rules.schema import READERS, STR_METHODS
from gateway.rules.values import ABSENT, as_text, look_up


class Nothing(ChainableUndefined):
    """What is not there. Falsy, chainable, and no part of any order."""

    __slots__ = ()

    def _never(self, _: object) -> bool:
        return False

    def _nothing(self, *_: object) -> Nothing:
        return self

    __lt__ = __le__ = __gt__ = __ge__ = _never  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __neg__ = _nothing  # type: ignore[assignment]
    __hash__ = Undefined.__hash__


NOTHING = Nothing()


def get(data: Any, key: Any) -> Any:
    """The value of ``key`` in untyped data: of mappings, lists and texts only, never an attribute."""
    if type(data) is dict and type(key) is str:
        return data.get(key, NOTHING)
    found = look_up(data, key)
    return NOTHING if found is ABSENT else found


def get_or(data: Any, key: Any, default: Any = None) -> Any:
    """The value of ``key``, or ``default`` where there is none."""
    found = get(data, key)
    return default if found is NOTHING else found


def some(value: Any) -> Any:
    """``value``; nothing instead of none, which has no order and no sum."""
    return NOTHING if value is None else value


def negative(value: Any) -> Any:
    """``-value``, of nothing nothing."""
    return NOTHING if value is None else -value


def known(value: Any) -> Any:
    """``value``; nothing instead of what stands for a missing value elsewhere."""
    return NOTHING if isinstance(value, Undefined) else value


def _null_safe(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def joined(left: Any, right: Any) -> Any:
        there = left is not None and left is not NOTHING and right is not None and right is not NOTHING
        return operate(left, right) if there else NOTHING

    return joined


def _of_text(name: str) -> Callable[..., Any]:
    """The method of texts called ``name``, which of anything else, or with anything else, is nothing."""
    method = getattr(str, name)

    def called(*texts: Any) -> Any:
        return method(*texts) if all(isinstance(text, str) for text in texts) else NOTHING

    return called


BUILTINS: Mapping[str, Any] = {
    **READERS,
    "_N": NOTHING,
    "_unread": object(),
    "_Undefined": Undefined,
    "_get": get,
    "_get_or": get_or,
    "_contains": is_in,
    "_some": some,
    "_known": known,
    "_negative": negative,
    "_plus": _null_safe(arithmetic("+")),
    "_minus": _null_safe(arithmetic("-")),
    "_shown": as_text,
    **{f"_text_{name}": _of_text(name) for name in STR_METHODS},
    **{f"_filter_{name}": entry.function for name, entry in FILTERS.items()},
    **{f"_test_{name}": test.function for name, test in TESTS.items()},
    "isinstance": isinstance,
    "len": len,
    "str": str,
    "Exception": Exception,
    "__builtins__": {},
}
"""The only names lowered code can reach, beside its transition ``e`` and its own patterns."""
