"""Every file of tests/golden/config: a configuration, a dashed line, and the report it must give.

A folder there is a configuration of several files whose report is in ``problems.txt``. Set
``GATEWAY_GOLDEN=rewrite`` to write the reports anew, then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config import Sources, load, read_sources, write_problems

GOLDEN = Path(__file__).parents[2] / "golden" / "config"
CASES = sorted(path.name for path in GOLDEN.iterdir())
DASHES = "-" * 40 + "\n"


@pytest.mark.parametrize("name", [case for case in CASES if case.endswith(".toml")])
def test_a_file_gives_the_report_written_below_it(name: str) -> None:
    text, _, expected = (GOLDEN / name).read_text().partition(DASHES)

    report = report_of(Sources(name, {name: text}))

    if os.environ.get("GATEWAY_GOLDEN") == "rewrite":
        (GOLDEN / name).write_text(text + DASHES + report)
    else:
        assert report == expected


@pytest.mark.parametrize("name", [case for case in CASES if not case.endswith(".toml")])
def test_a_folder_gives_the_report_written_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    sources, problems = read_sources(name)

    report = write_problems(problems, sources.files) + report_of(sources)

    if os.environ.get("GATEWAY_GOLDEN") == "rewrite":
        (GOLDEN / name / "problems.txt").write_text(report)
    else:
        assert report == (GOLDEN / name / "problems.txt").read_text()


def report_of(sources: Sources) -> str:
    return write_problems(load(sources).problems, sources.files)
