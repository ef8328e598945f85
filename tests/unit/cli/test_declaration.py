"""The demo edits the configuration as a person would, and changes nothing else."""

from __future__ import annotations

import tomllib

import pytest

from gateway.cli.demo.declaration import Declaration


@pytest.fixture
def declaration(tmp_path) -> Declaration:
    return Declaration(tmp_path)


def read(declaration: Declaration, file: str) -> dict:
    return tomllib.loads((declaration.path / file).read_text())


def test_a_key_of_a_channel_is_replaced(declaration) -> None:
    before = read(declaration, "channels.toml")

    declaration.set_channel("mail", "url", '"record://mail"')

    before["channel"]["mail"]["url"] = "record://mail"
    assert read(declaration, "channels.toml") == before


def test_a_key_of_a_handler_is_replaced_or_added(declaration) -> None:
    before = read(declaration, "handlers.toml")
    task_failed = next(handler for handler in before["handler"] if handler["name"] == "task-failed")

    declaration.set_handler("task-failed", "when", '"state is failed"')
    declaration.set_handler("task-failed", "stop", "true")

    task_failed.update(when="state is failed", stop=True)
    assert read(declaration, "handlers.toml") == before


def test_an_edit_leaves_one_file_behind(declaration) -> None:
    declaration.set_handler("task-failed", "stop", "true")

    assert sorted(path.name for path in declaration.path.iterdir()) == ["channels.toml", "handlers.toml"]
