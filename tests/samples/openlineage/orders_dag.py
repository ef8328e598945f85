"""A DAG with every kind of end that a task can have; what airflow-3.3.2.orders.jsonl holds is a run of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

AT_ONCE = timedelta(0)


@dag(schedule=None, start_date=datetime(2026, 1, 1), tags=["prod"], catchup=False)  # noqa: DTZ001
def orders():
    @task
    def extract():
        return [1, 2]

    @task(retries=1, retry_delay=AT_ONCE)
    def flaky():
        if get_current_context()["ti"].try_number == 1:
            raise ValueError("first time")

    @task
    def skip():
        raise AirflowSkipException("nothing to do")

    @task(retries=3, retry_delay=AT_ONCE)
    def hopeless():
        raise AirflowFailException("no use")

    @task
    def after():
        pass

    @task.branch
    def choose():
        return "left"

    @task
    def left():
        pass

    @task
    def right():
        pass

    @task
    def each(number):
        if number == 2:
            raise ValueError("two")

    each.expand(number=extract())
    flaky()
    skip()
    hopeless() >> after()
    choose() >> [left(), right()]


orders()
