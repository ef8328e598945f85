"""A code location with a job in which things go wrong: one op is tried again, one of three mapped ones fails."""

from __future__ import annotations

from dagster import Definitions, DynamicOut, DynamicOutput, RetryPolicy, job, op


@op(out=DynamicOut())
def extract():
    for number in (1, 2, 3):
        yield DynamicOutput(number, mapping_key=str(number))


@op(retry_policy=RetryPolicy(max_retries=1))
def reserve(context):
    if context.retry_number == 0:
        raise ConnectionError("the warehouse does not answer")


@op
def ship(order):
    if order == 3:
        raise ValueError("order 3 has no address")


@op
def report(shipped):
    pass


@job(tags={"team": "logistics"})
def orders():
    reserve()
    report(extract().map(ship).collect())


defs = Definitions(jobs=[orders])
