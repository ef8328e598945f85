"""A DAG in which things go wrong: one task is tried again, one skips itself, one of three mapped ones fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException


@dag(start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False, tags=["prod"])
def orders():
    @task
    def extract():
        return [1, 2, 3]

    @task(retries=1, retry_delay=timedelta(0))
    def reserve():
        if get_current_context()["ti"].try_number == 1:
            raise ConnectionError("the warehouse does not answer")

    @task
    def invoice():
        raise AirflowSkipException("nothing to pay today")

    @task
    def ship(order):
        if order == 3:
            raise ValueError("order 3 has no address")

    @task
    def report():
        pass

    reserve()
    invoice()
    ship.expand(order=extract()) >> report()


orders()
