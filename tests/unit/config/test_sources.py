from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from gateway.config import sources as limits
from gateway.config.sources import Sources, read_sources


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_files_of_a_folder_are_read_in_path_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    write(tmp_path, config__b_toml="b = 1", config__a_toml="a = 1", config__sub__c_toml="c = 1")
    (tmp_path / "config" / ".hidden.toml").write_text("x = 1")
    (tmp_path / "config" / "notes.txt").write_text("x = 1")

    sources, problems = read_sources(tmp_path / "config")

    assert dict(sources.files) == {f"{tmp_path}/config/a.toml": "a = 1", f"{tmp_path}/config/b.toml": "b = 1"}
    assert list(sources.files) == sorted(sources.files)
    assert problems == []


def test_one_file_may_be_given(tmp_path: Path) -> None:
    write(tmp_path, rules_toml="a = 1", templates__x_j2="x")

    sources, problems = read_sources(tmp_path / "rules.toml")

    assert list(sources.files.values()) == ["a = 1"]
    assert sources.templates == {"x.j2": "x"}
    assert problems == []


def test_templates_lie_beside_the_configuration_in_folders_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, config__a_toml="", templates__failed_j2="f", templates__mail__long_j2="l")
    (tmp_path / "templates" / ".git").mkdir()
    (tmp_path / "templates" / ".git" / "x.j2").write_text("x")

    sources, _ = read_sources(tmp_path / "config")

    assert sources.templates == {"failed.j2": "f", "mail/long.j2": "l"}
    assert sources.template_folder == f"{tmp_path}/templates"


@pytest.mark.parametrize(
    "text", ['[templates]\npath = "texts"', 'templates.path = "texts"', 'templates = { path = "texts" }']
)
def test_the_configuration_can_move_the_templates(tmp_path: Path, text: str) -> None:
    write(tmp_path, config__a_toml=text, texts__a_j2="a", templates__b_j2="b")

    assert read_sources(tmp_path / "config")[0].templates == {"a.j2": "a"}


@pytest.mark.parametrize("text", ["[templates]\npath = 3", "[templates]\npath = ", "templates = 3", 'x = "templates"'])
def test_a_broken_place_of_templates_is_left_to_the_loader(tmp_path: Path, text: str) -> None:
    write(tmp_path, config__a_toml=text, templates__b_j2="b")

    sources, problems = read_sources(tmp_path / "config")

    assert sources.templates == {"b.j2": "b"}
    assert problems == []


def test_templates_that_were_named_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, config__a_toml='[templates]\npath = "texts"')

    _, problems = read_sources(tmp_path / "config")

    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/texts: the folder of templates cannot be read: No such file or directory"
    ]


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    write(tmp_path, config__a_toml="", templates__a_j2="a", data__b_j2="b")
    (tmp_path / "templates" / "again").symlink_to(tmp_path / "templates")
    (tmp_path / "templates" / "data").symlink_to(tmp_path / "data")

    assert set(read_sources(tmp_path / "config")[0].templates) == {"a.j2", "data/b.j2"}


@pytest.mark.parametrize("path", [".", "../config", ""])
def test_the_folder_may_be_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    write(tmp_path, config__a_toml="a = 1", templates__a_j2="a")
    monkeypatch.chdir(tmp_path / "config")

    sources, problems = read_sources(path)

    assert sources.templates == {"a.j2": "a"}
    assert sources.base.resolve() == tmp_path
    assert problems == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("confg", "confg: there is no such file or folder (did you mean 'config'?)"),
        ("empty", "empty: there is no '*.toml' file in this folder"),
        ("pipe.toml", "pipe.toml: is not a regular file"),
        ("/dev/zero", "/dev/zero: is not a regular file"),
        ("dangling", "dangling/x.toml: cannot be read: No such file or directory"),
        ("circle", "circle/x.toml: cannot be read: Too many levels of symbolic links"),
        ("latin", "latin/x.toml:2:9: is not UTF-8: byte 0xe9 cannot stand here"),
        ("utf16.toml", "utf16.toml: is UTF-16: save it as UTF-8"),
        ("large.toml", "large.toml: is larger than 4 MiB: split it over several files"),
        ("config/a.toml/x", "config/a.toml/x: cannot be read: Not a directory"),
    ],
)
def test_what_cannot_be_read_is_a_problem_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, config__a_toml="")
    for folder in ("empty", "dangling", "circle", "latin"):
        Path(folder).mkdir()
    os.mkfifo("pipe.toml")
    Path("dangling/x.toml").symlink_to("nowhere")
    Path("circle/x.toml").symlink_to("x.toml")
    Path("latin/x.toml").write_bytes(b"a = 1\nb = 'd\xc3\xa9j\xe9'")
    Path("utf16.toml").write_text("a = 1", "utf-16")
    Path("large.toml").write_text("#" * 10_000_000)
    start = time.monotonic()

    sources, problems = read_sources(path)

    assert [str(found) for found in problems] == [problem]
    assert dict(sources.files) == {}
    assert time.monotonic() - start < 2


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(limits.MOST_FILES + 1):
        (tmp_path / f"{number}.toml").touch()

    sources, (problem,) = read_sources(tmp_path)

    assert problem.message == "holds more than 1000 '*.toml' files"
    assert len(sources.files) == limits.MOST_FILES


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")

    sources, problems = read_sources(tmp_path)

    assert list(sources.files.values()) == ["a = 1\nb = 2\n"]
    assert problems == []


def test_sources_travel_as_text() -> None:
    sources = Sources("config", {"config/a.toml": "a = 1"}, {"x.j2": "x"})

    twin = pickle.loads(pickle.dumps(sources))

    assert twin == sources
    assert twin.fingerprint == sources.fingerprint


def test_the_fingerprint_tells_every_difference() -> None:
    variants = [
        Sources("c", {"a": "x"}),
        Sources("c", {"a": "y"}),
        Sources("c", {"b": "x"}),
        Sources("c", {"a": "", "b": "x"}),
        Sources("c", {}, {"a": "x"}),
        Sources("c", {"a": "x"}, {"a": "x"}),
    ]

    assert len({variant.fingerprint for variant in variants}) == len(variants)
