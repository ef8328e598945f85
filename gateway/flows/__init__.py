"""A small state engine: tasks and flows that pass through states and call state handlers.

It drives the state machine for scripts and tests; it schedules nothing, runs everything in one
process and keeps nothing. From the smallest to the whole: ``signals``, ``triggers``, ``task``,
``flow``, ``runner``.
"""

from gateway.context import context
from gateway.flows import signals, triggers
from gateway.flows.clock import Clock
from gateway.flows.flow import Flow
from gateway.flows.runner import Runner
from gateway.flows.task import FunctionTask, Parameter, Task, task

__all__ = [
    "Clock",
    "Flow",
    "FunctionTask",
    "Parameter",
    "Runner",
    "Task",
    "context",
    "signals",
    "task",
    "triggers",
]
