from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.cli.output import clock, number, print_json, print_problems, printable, say, table
from gateway.config.source import Problem


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [(0, "error", "no errors"), (1, "error", "1 error"), (2, "delivery", "2 deliveries")],
    ids=["none", "one", "several"],
)
def test_counts_are_told_in_words(count: int, noun: str, told: str) -> None:
    assert number(count, noun) == told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\nand more", "plain\nand more"),
        ("a\tb", "a   b"),
        ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("back\rover", "back\N{REPLACEMENT CHARACTER}over"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt", "\N{REPLACEMENT CHARACTER}txt"),
        ("\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}", "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}"),
    ],
    ids=["plain", "tab", "escape", "carriage return", "direction", "joined"],
)
def test_nothing_commands_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_markup_is_text(capsys) -> None:
    say("[bold]x[/] :smile:")

    assert capsys.readouterr().out == "[bold]x[/] :smile:\n"


def test_a_table_that_is_not_on_a_terminal_is_never_cut_nor_padded(capsys) -> None:
    table(("name", "text"), [("a", "x" * 300), ("[b]", "two\nlines")], shortened=("text",))

    assert capsys.readouterr().out == f"name  text\na     {'x' * 300}\n[b]   two lines\n"


def test_a_table_on_a_terminal_keeps_rows_to_one_line_where_told(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")

    table(("name", "text"), [("a", "word " * 30)], shortened=("text",))

    _, row = capsys.readouterr().out.splitlines()
    assert "…" in row


def test_json_has_times_in_full_and_durations_in_seconds(capsys) -> None:
    print_json({"at": datetime(2026, 3, 2, tzinfo=UTC), "took": timedelta(minutes=1), "names": ("ä",)})

    assert json.loads(capsys.readouterr().out) == {"at": "2026-03-02T00:00:00+00:00", "took": 60.0, "names": ["ä"]}


def test_a_clock_shows_the_day_unless_it_is_today() -> None:
    now = datetime.now(UTC)

    assert clock(now) == now.astimezone().strftime("%H:%M:%S")
    assert len(clock(now - timedelta(days=40))) == len("2026-03-02 09:00:00")


def test_a_problem_is_told_with_its_line_and_without_if_the_file_is_gone(capsys, tmp_path) -> None:
    there = tmp_path / "a.toml"
    there.write_text("x = 1\n")
    problems = [Problem("error", str(path), 1, 5, "x", "is wrong") for path in (there, tmp_path / "gone.toml")]

    print_problems([*problems, Problem("warning", "b.toml", 0, 0, "", "odd")])

    told = capsys.readouterr().err
    assert f"{there}:1:5: error: x: is wrong\n    1 | x = 1\n      |     ^\n" in told
    assert told.endswith("gone.toml:1:5: error: x: is wrong\nb.toml: warning: odd\n2 errors, 1 warning\n")
