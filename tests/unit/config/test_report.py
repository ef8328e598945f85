from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config.report import write_problems
from gateway.config.source import Problem


def at(line: int, column: int, key: str = "handler.x.when") -> Problem:
    return Problem("error", "a.toml", line, column, key, "odd")


@pytest.mark.parametrize(
    ("text", "problem", "excerpt"),
    [
        ("one\ntwo\n", at(2, 2), "    2 | two\n      |  ^\n"),
        ("\tx = 1", at(1, 2), "    1 | \tx = 1\n      | \t^\n"),
        ("名 = 1", at(1, 3), "    1 | 名 = 1\n      |    ^\n"),
        ("x = 'a\x1b[31m'", at(1, 1), "    1 | x = 'a\N{REPLACEMENT CHARACTER}[31m'\n      | ^\n"),
        ("x" * 300, at(1, 300), f"    1 | {'x' * 120}\n      | {' ' * 119}^\n"),
        ("short", at(7, 1), ""),
        ("whole file", at(0, 0), ""),
    ],
)
def test_the_line_is_shown_with_a_mark_below_the_place(text: str, problem: Problem, excerpt: str) -> None:
    assert write_problems([problem], {"a.toml": text}) == f"{problem.position}: error: handler.x.when: odd\n{excerpt}"


def test_a_file_that_is_not_known_is_told_without_its_line() -> None:
    assert write_problems([at(1, 1)], {}) == "a.toml:1:1: error: handler.x.when: odd\n"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("url = 'slack://hunter2'", "channel.a.url"),
        ("url = hunter2", ""),
        ("\"url\"='hunter2'", ""),
        ("a.url = 'hunter2'", ""),
        ("a = { url = 'hunter2', rat = 1 }", "channel.a.rat"),
        ("hunter2'''", "channel.a.url"),
        ("x = 'json://hunter2'", "channel.a.x"),
        ("auth = 'admin:hunter2'", "source.prefect.auth"),
        ("key = 'hunter2'", "source.prefect.key"),
        ("admin:hunter2'", "source.prefect.auth"),
        ("token = 'hunter2'", "server.token"),
    ],
)
def test_addresses_and_credentials_are_masked(line: str, key: str) -> None:
    report = write_problems([at(1, len(line), key)], {"a.toml": line})

    assert "hunter2" not in report
    assert report.splitlines()[-1].index("^") == len("    1 | ") + len(line) - 1


@pytest.mark.parametrize("line", ["auht = 'hunter2'", "password='hunter2'", "a = { pass = 'hunter2' }"])
def test_what_an_unknown_key_holds_is_masked(line: str) -> None:
    problem = replace(at(1, 1, "source.prefect.auht"), message="unknown key; known here: auth")

    report = write_problems([problem], {"a.toml": line})

    assert "hunter2" not in report
    assert f" | {line[:4]}" in report


def test_references_to_secrets_are_shown() -> None:
    line = 'url = { evn = "HOOK" }'

    assert line in write_problems([at(1, 7, "channel.a.url")], {"a.toml": line})
