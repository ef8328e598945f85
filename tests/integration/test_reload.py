"""Live reload on a real folder: a good edit takes effect, a bad one changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway import Task, states
from gateway.store.rows import DeliveryFilter

HANDLER = '[[handler]]\nname = "told"\nwhen = "state is failed"\nto = "box"\nmessage = "{}"\n'


def fail(gateway, name: str = "work") -> None:
    gateway(Task(name=name), states.Running(), states.Failed("boom"))


def test_a_good_edit_takes_effect_while_running(write, opened, sent, until) -> None:
    reloads = []
    config = write(HANDLER.format("before"))
    gateway = opened(config, on_reload=reloads.append)
    fail(gateway)

    write(HANDLER.format("after"))
    until(lambda: reloads)
    fail(gateway)
    gateway.drain()

    assert [message.body for message in sent.messages] == ["before", "after"]
    assert reloads[0].accepted
    assert reloads[0].changes == ("handler 'told': message changed",)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("[[handler]\n", "1:"),
        (HANDLER.format("x").replace("failed", "faild"), "3:18: handler.told.when: unknown test 'faild'"),
        (HANDLER.format("{{ task.nme }}"), "did you mean 'name'"),
        (HANDLER.format("x").replace("box", "bx"), "there is no channel 'bx' (did you mean 'box'?)"),
        (HANDLER.format("x").replace("message", "mesage"), "did you mean 'message'"),
        (HANDLER.format("x") * 2, "there is a handler 'told' already"),
        (HANDLER.format("x") + 'template = "none.j2"\n', "either 'message' or 'template'"),
        (HANDLER.format("x").replace('"box"', '["box"]\nseverity = "loud"'), "severity"),
    ],
    ids=["syntax", "when", "template text", "channel", "key", "duplicate", "both", "value"],
)
def test_a_bad_edit_leaves_the_same_ruleset_object_and_says_why(write, opened, sent, bad: str, said: str) -> None:
    gateway = opened(write(HANDLER.format("good")), watch=False)
    before = gateway.ruleset

    write(bad)
    reloaded = gateway.reload()
    fail(gateway)
    gateway.drain()

    assert not reloaded.accepted
    assert said in str(reloaded)
    assert "gateway.toml:" in str(reloaded)
    assert gateway.ruleset is before
    assert [message.body for message in sent.messages] == ["good"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b'name = "\xe9"', b"#" * 10_000_000], ids=["utf16", "latin1", "10MB"]
)
def test_an_unreadable_file_leaves_the_same_ruleset(write, opened, content: bytes) -> None:
    config = write(HANDLER.format("good"))
    gateway = opened(config, watch=False)
    before = gateway.ruleset

    (config / "more.toml").write_bytes(content)

    assert not gateway.reload().accepted
    assert gateway.ruleset is before


def test_a_deleted_folder_leaves_the_same_ruleset(write, opened, tmp_path: Path) -> None:
    config = write(HANDLER.format("good"))
    gateway = opened(config, watch=False)
    before = gateway.ruleset

    config.rename(tmp_path / "elsewhere")
    refused = gateway.reload()
    (tmp_path / "elsewhere").rename(config)

    assert not refused.accepted
    assert gateway.ruleset is before
    assert gateway.reload().accepted


def test_a_refused_edit_is_told_once_and_mended_by_the_next(write, opened, until) -> None:
    reloads = []
    gateway = opened(write(HANDLER.format("good")), on_reload=reloads.append)

    write("[[handler]\n")
    until(lambda: len(reloads) == 1)
    write(HANDLER.format("better"))
    until(lambda: len(reloads) == 2)

    assert [reloaded.accepted for reloaded in reloads] == [False, True]
    assert gateway.ruleset.handlers[0].written.message == "better"


def test_a_channel_whose_address_stayed_keeps_its_instance(write, opened) -> None:
    gateway = opened(write(HANDLER.format("one")), watch=False)
    channel = gateway.ruleset.destinations["box"].channel

    write(HANDLER.format("two"), '[channel.new]\nurl = "record://new"\n')
    assert gateway.reload().accepted

    assert gateway.ruleset.destinations["box"].channel is channel


def test_an_edited_secret_file_changes_the_channel(write, opened, tmp_path: Path, bucket: str, until) -> None:
    secret = tmp_path / "secrets" / "box"
    secret.parent.mkdir()
    secret.write_text("record://other\n")
    reloads = []
    config = write(HANDLER.format("x").replace('"box"', '"own"'), f'[channel.own]\nurl = {{ file = "{secret}" }}\n')
    gateway = opened(config, on_reload=reloads.append)

    replacement = secret.with_name("box.new")
    replacement.write_text(f"record://{bucket}\n")
    replacement.replace(secret)
    until(lambda: reloads)

    assert reloads[0].changes == ("channel 'own': its secret changed",)
    assert gateway.ruleset.destinations["own"].address == f"record://{bucket}"


def test_an_edited_secret_file_of_a_source_is_told(write, opened, tmp_path: Path, until) -> None:
    secret = tmp_path / "secret"
    secret.write_text("admin:one")
    reloads = []
    gateway = opened(write(f'[source.prefect]\nauth = {{ file = "{secret}" }}\n'), watch=True, on_reload=reloads.append)

    secret.write_text("admin:two")
    until(lambda: reloads)

    assert reloads[0].changes == ("[source.prefect]: its secret changed",)
    assert gateway.ruleset.prefect is not None and gateway.ruleset.prefect.auth == "admin:two"


def test_an_edited_template_file_takes_effect(write, opened, sent, tmp_path: Path, until) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "told.md.j2").write_text("old text")
    reloads = []
    config = write('[[handler]]\nname = "told"\nto = "box"\ntemplate = "told.md.j2"\n')
    gateway = opened(config, on_reload=reloads.append)

    (templates / "told.md.j2").write_text("new text")
    until(lambda: reloads)
    fail(gateway)
    gateway.drain()

    assert [message.body for message in sent.messages] == ["new text"]
    assert reloads[0].changes == ("handler 'told': its template file told.md.j2 changed",)


def test_two_hundred_edits_under_load_lose_nothing_and_send_nothing_twice(write, opened, sent) -> None:
    gateway = opened(write(HANDLER.format("edit 0: {{ task.name }}")), watch=False)
    stop, told = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            name = f"task-{len(told)}"
            fail(gateway, name)
            told.append(name)

    thread = threading.Thread(target=load)
    thread.start()
    for number in range(1, 201):
        write(HANDLER.format(f"edit {number}: {{{{ task.name }}}}") if number % 4 else "[[broken]\n")
        assert gateway.reload().accepted is bool(number % 4)
    stop.set()
    thread.join()
    gateway.drain()

    names = [message.body.split(": ")[1] for message in sent.messages]
    assert sorted(names) == sorted(told)
    assert {row.status for row in gateway.store.deliveries(DeliveryFilter(), limit=100_000)} == {"delivered"}
