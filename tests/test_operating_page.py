"""docs/operating.md: its alerts are rules, its reasons are all there are, its backup is whole."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from gateway import Gateway, Task, states
from gateway.config.duration import parse_duration
from gateway.delivery.reasons import WHY
from gateway.observe.specs import METRICS
from gateway.ops import TITLES
from gateway.store.opening import open_reader

PAGE = (Path(__file__).parent.parent / "docs" / "operating.md").read_text()
PARTS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES = {f"{spec.name}{part}": set(spec.labels) for spec in METRICS for part in PARTS[spec.kind]} | {"up": {"job"}}


def section(heading: str) -> str:
    return PAGE.partition(f"# {heading}\n")[2].partition("\n## ")[0]


def rules() -> list[dict]:
    [written] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [group] = yaml.safe_load(written)["groups"]
    return group["rules"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_a_rule_about_metrics_and_labels_there_are(rule: dict) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert not rule.get("for") or parse_duration(rule["for"])
    expression = rule["expr"]
    assert expression.count("(") == expression.count(")")
    used = set(re.findall(r"\b(?:gateway_\w+|up)\b", expression))
    assert used
    assert used <= set(SERIES)
    known = set.union(*(SERIES[name] for name in used))
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    matched = set(re.findall(r'(\w+)="', expression))
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert grouped | matched | told <= known
    assert not grouped or told <= grouped


def rows(heading: str) -> Iterator[list[str]]:
    for line in re.findall(r"^\| (.*) \|$", section(heading), re.MULTILINE)[2:]:
        yield line.split(" | ")


@pytest.mark.parametrize("reason", WHY)
def test_every_reason_is_told_once_with_what_to_do(reason: str) -> None:
    told = [
        row for row in rows("Dead letters at 3 am") for one in re.findall(r"`([^`]+)`", row[0]) if fits(reason, one)
    ]

    assert len(told) == 1
    assert all(told[0])


def fits(reason: str, written: str) -> bool:
    return fnmatch(reason, written.replace("xx", "[0-9][0-9]"))


def test_every_word_told_is_a_reason() -> None:
    for row in rows("Dead letters at 3 am"):
        for written in re.findall(r"`([^`]+)`", row[0]):
            assert any(fits(reason, written) for reason in WHY), written


def test_everything_operators_are_told_is_told_with_its_title() -> None:
    assert {row[0] for row in rows("What operators are told")} == set(TITLES.values())


def test_a_backup_of_a_store_at_work_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until) -> None:
    """By the statement of the page, while transitions are accepted."""
    [command] = re.findall(r'^\$ python3 -c "(.*)"$', section("Backup"), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.toml").write_text(
        '[channel.box]\nurl = "record://backup"\n[[handler]]\nname = "told"\nto = "box"\n'
    )
    ended = threading.Event()
    with Gateway(tmp_path / "config", watch=False, drain_seconds=2) as gateway:

        def at_work() -> None:
            while not ended.is_set():
                gateway(Task(name="load"), states.Running(), states.Failed("boom"))

        working = threading.Thread(target=at_work)
        working.start()
        try:
            until(lambda: gateway.store.counters()["transitions"] >= 20)
            statement = re.search(r'execute\(\\"(.*?)\\"\)', command)
            assert statement is not None
            with sqlite3.connect("file:var/gateway.db?mode=ro", uri=True) as store:
                store.execute(statement[1])
            store.close()
        finally:
            ended.set()
            working.join()

    with sqlite3.connect(tmp_path / "backup.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    reader = open_reader(f"sqlite:///{tmp_path}/backup.db")
    try:
        lines = reader.ledger()
        assert lines[0].accepted >= 20
        assert all(line.balances for line in lines)
    finally:
        reader.close()
