"""CloudEvents 1.0 over HTTP, in its three forms, as the transitions that ``[source.cloudevents.NAME]`` declares."""

from gateway.rules.mapping import CloudEvent
from gateway.sources.cloudevents.envelope import PREFIX, CloudEventPayload, read_binary, read_structured, written_whole
from gateway.sources.cloudevents.mapping import SOURCE, read_event

__all__ = [
    "PREFIX",
    "SOURCE",
    "CloudEvent",
    "CloudEventPayload",
    "read_binary",
    "read_event",
    "read_structured",
    "written_whole",
]
