"""The tables of docs/engines/states.md, out of the code that maps each engine's states to ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gateway.sources import airflow as airflow_words
from gateway.sources import dagster as dagster_words
from gateway.sources.openlineage import airflow as airflow_events
from gateway.sources.openlineage import mapping as openlineage_mapping
from gateway.sources.prefect import table as prefect3_table
from gateway.states import STATES

NOT_IN_PREFECT_1 = ("Late", "Lost", "Crashed", "RolledBack")

Row = tuple[str, ...]


def table(columns: Row, rows: Iterable[Row]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ("---",) * len(columns), *rows])


def code(text: str) -> str:
    return f"`{text}`"


def prefect3() -> str:
    return table(("Type", "Name", "State"), prefect3_rows())


def prefect3_rows() -> Iterator[Row]:
    """The names that say more, by type, then what all others are."""
    for kind in prefect3_table.BY_TYPE:
        for of_kind, name in prefect3_table.BY_NAME:
            if of_kind == kind:
                yield code(kind), code(name), code(prefect3_table.state_class(kind, name).type)
        if kind == "RUNNING":
            retrying = prefect3_table.state_class(kind, prefect3_table.RETRYING, kind)
            yield code(kind), f"`{prefect3_table.RETRYING}` straight after `RUNNING`", code(retrying.type)
        yield code(kind), "any other", code(prefect3_table.state_class(kind, "").type)


def prefect1() -> str:
    """Its classes are ours by name; what it derives them from is in the tree."""
    return table(("Class", "State"), ((code(name), code(name)) for name in STATES if name not in NOT_IN_PREFECT_1))


def openlineage() -> str:
    told = ((code(word), code(name)) for word, name in openlineage_mapping.TYPES.items())
    return table(("`eventType`", "State"), [*told, ("any other, such as `OTHER`", "no change of state")])


def airflow_by_openlineage() -> str:
    corrected = airflow_events.CORRECTED.items()
    rows = [
        ("`FAIL` of a task with tries left", code("Retrying")),
        *((f"`{word}` in the last event of the DAG's run", code(name)) for word, (name, _) in corrected),
    ]
    return table(("Told by Airflow", "State"), rows)


def airflow() -> str:
    return table(("`TaskInstanceState`", "State"), airflow_rows(airflow_words.TASK_STATES))


def airflow_runs() -> str:
    return table(("`DagRunState`", "State"), airflow_rows(airflow_words.RUN_STATES))


def airflow_rows(known: Mapping[str, str]) -> Iterator[Row]:
    for word in known:
        told = airflow_words.state_class(word, known).type
        late = airflow_words.state_class(word, known, timed_out=True).type
        yield code(word), code(told) if late == told else f"`{told}`, or `{late}` if it took too long"


def dagster() -> str:
    def events(status: str) -> str:
        return ", ".join(code(event) for event, of_status in dagster_words.RUN_EVENTS.items() if of_status == status)

    rows = ((code(word), events(word), code(name)) for word, name in dagster_words.RUN_STATES.items())
    return table(("`DagsterRunStatus`", "Event", "State"), rows)


def dagster_steps() -> str:
    rows = ((code(word), code(name)) for word, name in dagster_words.STEP_EVENTS.items())
    return table(("Event of a step", "State"), rows)


STATE_TABLES: Mapping[str, Callable[[], str]] = {
    "prefect 3": prefect3,
    "prefect 1": prefect1,
    "openlineage": openlineage,
    "airflow by openlineage": airflow_by_openlineage,
    "airflow": airflow,
    "airflow runs": airflow_runs,
    "dagster": dagster,
    "dagster steps": dagster_steps,
}
