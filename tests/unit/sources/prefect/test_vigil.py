"""Which runs count as lost: the server is asked first, and silence it cannot explain is told once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.compile import PrefectServer
from gateway.config.models import PrefectConfig
from gateway.sources.prefect.api import Page
from gateway.sources.prefect.mapping import transition_of
from gateway.sources.prefect.names import Names
from gateway.sources.prefect.vigil import Search, Vigil
from gateway.states import Lost

SAMPLES = Path(__file__).parents[3] / "samples" / "prefect3"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIMIT = timedelta(minutes=10)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


RUNNING = sample("event.flow-run.Running.json")
RUN_ID = RUNNING["resource"]["prefect.resource.id"].removeprefix("prefect.flow-run.")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


class Answers:
    """A server's answers about one run."""

    def __init__(self, state: str = "RUNNING", heartbeats: tuple[float, ...] = ()) -> None:
        self.server = PrefectServer(PrefectConfig(), "http://127.0.0.1/api", "http://127.0.0.1")
        self.state, self.heartbeats = state, heartbeats

    async def one(self, kind: str, id: str) -> dict[str, Any] | None:
        if kind != "flow_runs":
            return {"id": id, "name": "orders"}
        return sample("rest.flow-run.json") | {"id": id, "state_type": self.state}

    async def states(self, kind: str, run_id: str) -> list[dict[str, Any]]:
        return [state for state in sample("rest.flow_run_states.json") if state["type"] != "FAILED"]

    async def events(self, filter: dict[str, Any], limit: int) -> Page:
        beats = [{"occurred": (START + minutes(at)).isoformat()} for at in sorted(self.heartbeats, reverse=True)]
        return Page(beats[:limit], "")


def watching() -> Vigil:
    vigil = Vigil(LIMIT)
    vigil.watch(RUN_ID, START)
    return vigil


def lost(vigil: Vigil, answers: Answers, at: float, since: float = 0) -> list[Any]:
    search = Search(answers, vigil, Names(answers), LIMIT)  # type: ignore[arg-type] # it answers as an API does
    return asyncio.run(search.lost(START + minutes(at), START + minutes(since)))


def test_a_run_whose_heartbeats_end_is_lost_and_that_is_told_once() -> None:
    vigil, answers = watching(), Answers(heartbeats=(0, 3, 6))

    assert lost(vigil, answers, 15) == []
    (found,) = lost(vigil, answers, 16)

    assert isinstance(found.state, Lost)
    assert (found.old_state.type, found.flow.name, found.flow.run_id) == ("Running", "orders", RUN_ID)
    assert found.occurred_at == START + minutes(16)
    assert "not heard of since 2026-03-02 09:06:00 UTC, for 10m" in found.state.message
    assert lost(vigil, answers, 60) == []


def test_what_was_lost_before_anybody_looked_is_not_told() -> None:
    """A server has runs of last week that are running to this day: the first start must not tell them all."""
    assert len(lost(watching(), Answers(heartbeats=(0, 3)), 60, since=13)) == 1
    assert lost(watching(), Answers(heartbeats=(0, 3)), 60, since=14) == []


def test_whoever_finds_out_tells_the_same() -> None:
    ids = {lost(watching(), Answers(heartbeats=beats), at)[0].id for beats, at in (((0, 3), 60), ((0, 3, 6), 70))}

    assert len(ids) == 1


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (Answers("COMPLETED", (0, 3)), "it has ended"),
        (Answers("RUNNING", ()), "it never sent a heartbeat: they may be switched off"),
        (Answers("RUNNING", (0, 3, 19)), "the server has heard of it, the stream did not tell"),
        (Answers("RUNNING", (-20, 0)), "its heartbeats are twenty minutes apart"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_silent_run_is_not_lost_if(answers, why) -> None:
    assert lost(watching(), answers, 20) == []


def test_word_of_a_run_or_of_its_tasks_puts_off_the_question() -> None:
    vigil = watching()
    vigil.heard(RUN_ID, START + minutes(8))

    assert vigil.silent(START + minutes(17)) == []
    assert [run_id for run_id, _ in vigil.silent(START + minutes(18))] == [RUN_ID]


def test_heartbeats_of_a_run_that_has_ended_are_passed_over() -> None:
    vigil = Vigil(LIMIT)
    vigil.saw(transition_of(RUNNING))
    vigil.saw(transition_of(sample("event.flow-run.Failed.json") | {"resource": _of_run("Failed")}))
    vigil.heard(RUN_ID, START)

    assert len(vigil) == 0


def _of_run(name: str) -> dict[str, Any]:
    resource: dict[str, Any] = sample(f"event.flow-run.{name}.json")["resource"]
    return resource | {"prefect.resource.id": f"prefect.flow-run.{RUN_ID}"}


def test_while_the_server_is_away_nobody_is_taken_for_lost() -> None:
    vigil = watching()
    vigil.put_off(START + minutes(30))

    assert vigil.silent(START + minutes(29)) == []


def test_without_a_limit_nobody_is_watched() -> None:
    vigil = Vigil(timedelta())
    vigil.watch(RUN_ID, START)

    assert len(vigil) == 0
