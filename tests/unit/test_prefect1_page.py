"""The conditions that the page on Prefect 1 gives in place of ``only_states`` and ``ignore_states`` mean the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway.rules.expression import compile_check
from gateway.rules.sugar import Sugar
from gateway.states import STATES

PAGE = (Path(__file__).parents[2] / "docs" / "engines" / "prefect1.md").read_text()
SHOWN = re.findall(r"^# slack_notifier\((.*_states.*)\)\n(\[\[handler\]\]\n(?:.+\n)+)", PAGE, re.MULTILINE)


def listed(arguments: str, name: str) -> tuple[type, ...]:
    found = re.search(rf"{name}=\[([\w, ]*)\]", arguments)
    return tuple(STATES[word] for word in found[1].split(", ")) if found else ()


def told_by_slack_notifier(arguments: str) -> set[str]:
    """The states that Prefect 1's notifier tells: those to ignore win, and a state stands for its subclasses."""
    only, ignored = listed(arguments, "only_states"), listed(arguments, "ignore_states")
    return {
        name
        for name, state in STATES.items()
        if not issubclass(state, ignored) and (not only or issubclass(state, only))
    }


def test_the_page_shows_each_way_to_filter() -> None:
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("arguments", "table"), SHOWN)
def test_a_condition_tells_the_states_that_the_notifier_told(arguments: str, table: str) -> None:
    (handler,) = tomllib.loads(table)["handler"]
    states = handler.get("state", [])
    check = compile_check(handler.get("when"), sugar=Sugar(state=tuple(states)))

    assert {name for name, state in STATES.items() if check(state())} == told_by_slack_notifier(arguments)
