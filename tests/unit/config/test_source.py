from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.source import KeyPath, Position, Problem, SourceFile, key_text

TEXT = """\
#:schema gateway.schema.json
[channel.oncall]
retry = { attempts = 3 }

[[handler]]
name = "failed"
when = 'state is failed'
message = \"\"\"
first line
\\tsecond line\"\"\"
to = ["oncall",
      "mail"]
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("channel", "oncall"), 2, 1),
        (("channel", "oncall", "retry", "attempts"), 3, 22),
        (("channel", "oncall", "retry", "first"), 3, 9),
        (("channel", "oncall", "url"), 2, 1),
        (("handler", 0, "to", 1), 12, 7),
        (("handler", 0, "to", 7), 11, 6),
        (("store",), 1, 1),
        ((), 1, 1),
    ],
)
def test_a_value_or_its_nearest_parent_is_located(path: KeyPath, line: int, column: int) -> None:
    assert SourceFile("a.toml", TEXT).locate(path) == Position("a.toml", line, column)


def test_a_key_is_located_apart_from_its_value() -> None:
    source = SourceFile("a.toml", TEXT)

    assert source.locate(("channel", "oncall", "retry", "attempts"), key=True) == Position("a.toml", 3, 11)
    assert source.locate(("handler", 0), key=True) == Position("a.toml", 5, 3)


@pytest.mark.parametrize(
    ("key", "inside", "place"),
    [("when", (1, 7), (7, 15)), ("message", (1, 3), (9, 3)), ("message", (2, 2), (10, 3)), ("to", (1, 4), (11, 6))],
)
def test_a_place_inside_a_text_is_located_in_the_file(
    key: str, inside: tuple[int, int], place: tuple[int, int]
) -> None:
    assert SourceFile("a.toml", TEXT).locate_in(("handler", 0, key), *inside) == Position("a.toml", *place)


def test_windows_line_ends_do_not_move_places() -> None:
    source = SourceFile("a.toml", TEXT.replace("\n", "\r\n"))

    assert source.locate_in(("handler", 0, "message"), 2, 2) == Position("a.toml", 10, 3)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("error", "a.toml", 3, 7, "handler.x.when", "unknown name"),
            "a.toml:3:7: handler.x.when: unknown name",
        ),
        (Problem("error", "a.toml", 1, 2, "", "odd", "even"), "a.toml:1:2: odd (did you mean 'even'?)"),
        (Problem("warning", str(Path("config")), 0, 0, "", "nothing here"), "config: nothing here"),
    ],
)
def test_a_problem_tells_place_key_and_remedy(problem: Problem, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("channel", "oncall", "url"), "channel.oncall.url"),
        (("channel", "on call", "url"), 'channel."on call".url'),
        (("handler", 1, "to", 0), "handler#2.to#1"),
        (("a\x1b[31m\x9b",), r'"a\u001b[31m\u009b"'),
        ((), ""),
    ],
)
def test_a_path_is_written_as_toml_writes_keys(path: KeyPath, text: str) -> None:
    assert key_text(path) == text
