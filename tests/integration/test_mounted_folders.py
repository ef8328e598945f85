"""Folders as the kubelet mounts them: every file is a link through ``..data``, and an edit swaps what that leads to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from gateway import Task, states
from gateway.reload import LOOK_ANYWAY_TICKS, TICK_SECONDS

RULES = """
[store]
url = "sqlite:///{store}"

[channel.box]
url = "{{{{ secret('BOX') }}}}"

[[handler]]
name = "told"
when = "state is failed"
to = "box"
{message}
"""


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """Bring ``files`` into ``folder`` as the kubelet's atomic writer does, in its order of steps."""
    folder.mkdir(exist_ok=True)
    if {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith("..")} == files:
        return
    before = (folder / "..data").resolve() if (folder / "..data").exists() else None
    fresh = folder / f"..2026_11_27_20_00_00.{uuid4().hex}"
    fresh.mkdir()
    for name, text in files.items():
        (fresh / name).write_text(text)
    (folder / "..data_tmp").symlink_to(fresh.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
    if before is not None:
        shutil.rmtree(before)


@pytest.fixture
def mounted(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Mount configuration, templates and secrets; returns the configuration's folder."""
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path / "secrets"))

    def mounting(message: str, template: str = "", channel: str = bucket) -> Path:
        mount(tmp_path / "secrets", {"BOX": f"record://{channel}"})
        mount(tmp_path / "templates", {"told.j2": f"{{% block message %}}{template}{{% endblock %}}"})
        rules = RULES.format(store=tmp_path / "gateway.db", message=message)
        mount(tmp_path / "config", {"rules.toml": rules})
        return tmp_path / "config"

    return mounting


EDITS = {
    "rules": {"message": 'message = "after"'},
    "template": {"template": "after"},
    "secret": {"channel": "another"},
}


@pytest.mark.parametrize("edited", EDITS)
def test_a_swap_of_one_mounted_folder_is_seen_at_once(mounted, opened, until, tmp_path: Path, edited: str) -> None:
    reloads = []
    state = {"message": 'template = "told.j2"', "template": "before"}
    gateway = opened(mounted(**state), on_reload=reloads.append)
    time.sleep(TICK_SECONDS * 2)  # past the first look, which would see any edit
    begun = time.monotonic()

    mounted(**state | EDITS[edited])
    until(lambda: reloads)

    assert time.monotonic() - begun < TICK_SECONDS * LOOK_ANYWAY_TICKS / 2
    assert [reload.accepted for reload in reloads] == [True]
    assert gateway.ruleset.handlers[0].name == "told"


def test_what_is_told_after_a_swap_is_told_by_the_new_rules(mounted, opened, sent, until) -> None:
    reloads = []
    gateway = opened(mounted('message = "before"'), on_reload=reloads.append)
    gateway(Task(name="load"), states.Running(), states.Failed("boom"))

    mounted('message = "after"')
    until(lambda: reloads)
    gateway(Task(name="load"), states.Running(), states.Failed("boom"))
    gateway.drain()

    assert [message.body for message in sent.messages] == ["before", "after"]
    assert reloads[0].changes == ("handler 'told': message changed",)


def test_a_bad_edit_that_is_swapped_in_changes_nothing_and_a_good_one_after_it_does(mounted, opened, until) -> None:
    reloads = []
    gateway = opened(mounted('message = "good"'), on_reload=reloads.append)

    mounted('message = "{{ nobody }}"')
    until(lambda: reloads)
    kept = gateway.ruleset.handlers[0].written.message
    mounted('message = "better"')
    until(lambda: len(reloads) == 2)

    assert kept == "good"
    assert [reload.accepted for reload in reloads] == [False, True]
    assert gateway.ruleset.handlers[0].written.message == "better"
