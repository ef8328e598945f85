"""demo: the whole of it on a fresh machine."""

from __future__ import annotations

import re
import time

LONGEST = 15.0
PROXY = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
"""Nobody listens there: what went to a proxy would not arrive."""


def test_the_demo_passes_in_time_and_shows_what_arrived(gateway, tmp_path) -> None:
    began = time.monotonic()
    shown = gateway("demo", TMPDIR=str(tmp_path), **PROXY)
    took = time.monotonic() - began

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    assert took < LONGEST
    for arrived in (
        "POST /services/",
        '"title": "convert is retrying"',
        "Subject: check failed in nightly-orders",
        "check rejected 3 rows | First bad row: order 4711",
        '"title": "convert failed, next try at ',
    ):
        assert arrived in shown.stdout
    assert '{"accepted":1,"duplicates":0}' in shown.stdout
    assert '{"accepted":0,"duplicates":1}' in shown.stdout
    assert "15 accepted = 11 delivered + 4 suppressed + 0 dead + 0 cancelled + 0 owed" in shown.stdout
    assert "Everything arrived" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_shows_the_bad_edit_refused_with_its_place(gateway, tmp_path) -> None:
    shown = gateway("demo", "--keep", TMPDIR=str(tmp_path)).stdout

    assert re.search(r"handlers\.toml:\d+:\d+: error: handler\.task-failed\.when: unknown test 'faild'", shown)
    assert '| when = "state is faild and state is final"' in shown
    assert "the last good configuration stays" in shown
    [folder] = tmp_path.iterdir()
    assert (folder / "config" / "handlers.toml").is_file()
    assert f"gateway deliveries --config {folder}/config" in shown
