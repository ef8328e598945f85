"""Runs the example's job and evaluates its sensor, as Dagster's daemon does: in Dagster's environment."""

from __future__ import annotations

import json

import alerts
import jobs
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, build_sensor_context
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS

from gateway.client import Client
from gateway.dagster import gateway_sensor

instance = DagsterInstance.get()


def evaluated(sensor, cursor):
    return sensor.evaluate_tick(build_sensor_context(instance=instance, cursor=cursor)).cursor


def run():
    return jobs.orders.execute_in_process(instance=instance, raise_on_error=False).run_id


(sensor,) = alerts.defs.sensors
past = run()
cursor = first = evaluated(sensor, None)
now = run()
cursor = evaluated(sensor, cursor)
cursor = evaluated(sensor, cursor)
with Client() as again:
    evaluated(gateway_sensor(again), first)  # as after a crash, before the cursor was kept


class Sink:
    """Remembers what it is given in each evaluation."""

    def __init__(self):
        self.taken = []

    def take(self, transitions):
        self.taken.append([one.id for one in transitions])


whole, parts = Sink(), Sink()
evaluated(gateway_sensor(whole), first)
little, next = gateway_sensor(parts, most_at_once=4), first
while not parts.taken or parts.taken[-1]:
    next = evaluated(little, next)

print(
    json.dumps(
        {
            "past": past,
            "now": now,
            "cursor": json.loads(cursor),
            "whole": whole.taken[0],
            "parts": parts.taken,
            "cursor_of_parts": json.loads(next),
            "statuses": [status.value for status in DagsterRunStatus],
            "events": {type.value: status.value for type, status in EVENT_TYPE_TO_PIPELINE_RUN_STATUS.items()},
            "steps": [type.value for type in DagsterEventType if type.value.startswith("STEP_")],
        }
    )
)
