from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from gateway.context import context


def test_it_is_empty_outside_a_run():
    assert dict(context) == {}
    assert not context
    assert context.get("flow_name") is None
    assert context.get("flow_name", "none") == "none"


def test_values_hold_inside_the_block_only():
    with context(flow_name="nightly", attempt=2) as inside:
        assert inside is context
        assert (context["flow_name"], context.attempt, context.get("flow_name")) == ("nightly", 2, "nightly")
        assert "flow_name" in context
        assert set(context) == {"flow_name", "attempt"}

    assert "flow_name" not in context


def test_inner_blocks_add_to_outer_ones_and_hide_them():
    with context(a=1, b=1):
        with context(b=2):
            assert dict(context) == {"a": 1, "b": 2}
        assert dict(context) == {"a": 1, "b": 1}


def test_it_is_restored_after_an_error():
    with pytest.raises(ValueError, match="no"), context(a=1):
        raise ValueError("no")

    assert "a" not in context


def test_a_snapshot_stays_as_it_was_and_cannot_be_changed():
    with context(a=1):
        snapshot = context.snapshot()

    assert dict(snapshot) == {"a": 1}
    with pytest.raises(TypeError):
        snapshot["a"] = 2


def test_a_missing_key_is_told_by_name():
    with pytest.raises(KeyError, match="task_name"):
        context["task_name"]
    with pytest.raises(AttributeError, match="task_name"):
        _ = context.task_name


def test_its_text_shows_names_and_no_values():
    with context(secrets={"TOKEN": "s3cr3t"}, flow_name="nightly"):
        assert repr(context) == "<context: secrets, flow_name>"


def test_a_thread_starts_without_it_unless_given_a_copy():
    with context(a=1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.get, "a").result() is None
        assert pool.submit(copy_context().run, context.get, "a").result() == 1


def test_asynchronous_tasks_do_not_see_each_others_values():
    async def inside(value: int) -> int:
        with context(value=value):
            await asyncio.sleep(0)
            return context["value"]

    async def both() -> list[int]:
        return await asyncio.gather(inside(1), inside(2))

    assert asyncio.run(both()) == [1, 2]
