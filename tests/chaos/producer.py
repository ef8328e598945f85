"""Producers: they report transitions and, as they should, repeat each under its id until it is answered with 202."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from chaos.audit import Posted
from chaos.declaration import DESTINATIONS

Shape = Literal["object", "array", "lines", "gzip", "flawed"]
"""``flawed`` is an array with something in it that is no transition."""

SHAPES: tuple[Shape, ...] = ("object", "object", "array", "lines", "gzip", "flawed")
CONTENT_TYPES = {"object": "application/json", "array": "application/json", "lines": "application/x-ndjson"}

FLAW = {"id": "never-to-be-kept", "obj": {"kind": "task"}}
PATH = "/api/v1/transitions"
ANSWER_SECONDS = 8.0
LONGEST_PAUSE = 0.3
"""Seconds a producer waits before a repeat, even if it was asked to wait longer: it is an impatient one."""


def transition(id: str, task: str, message: str = "") -> dict[str, Any]:
    """A transition as it is posted."""
    return {
        "id": id,
        "source": "chaos",
        "obj": {"kind": "task", "name": task, "run_id": id, "flow": {"name": "etl", "run_id": "run"}},
        "old_state": {"type": "Running"},
        "new_state": {"type": "Failed", "message": message},
    }


@dataclass(slots=True)
class Log:
    """What all producers know together; safe to use from any thread."""

    destinations: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    duplicates: int = 0
    items: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sending(self, items: Sequence[dict[str, Any]]) -> None:
        """These are about to be posted."""
        with self._lock:
            self.destinations.update({item["id"]: DESTINATIONS[item["obj"]["name"]] for item in items})

    def answered(self, items: Sequence[dict[str, Any]], answer: dict[str, Any]) -> None:
        """They were answered with 202."""
        with self._lock:
            self.acknowledged.update(item["id"] for item in items)
            self.items += len(items)
            self.accepted += answer["accepted"]
            self.duplicates += answer["duplicates"]

    def refused(self, how: str) -> None:
        """A request was answered with something else, or not at all."""
        with self._lock:
            self.refusals[how] += 1

    def posted(self) -> Posted:
        """What is known now."""
        with self._lock:
            return Posted(
                dict(self.destinations), frozenset(self.acknowledged), self.accepted, self.duplicates, self.items
            )


class Client:
    """A connection to the gateway that is kept alive, and opened anew when it breaks.

    Args:
        port: asked before each new connection; a producer of several gateways goes to any of them.
    """

    def __init__(self, port: Callable[[], int], log: Log) -> None:
        self._port, self._log = port, log
        self._connection: http.client.HTTPConnection | None = None

    def post_once(self, items: Sequence[dict[str, Any]], shape: Shape = "object") -> float | None:
        """Post ``items``; ``None`` once they are acknowledged, else the seconds to wait before the repeat."""
        self._log.sending(items)
        body, headers = encoded(items, shape)
        try:
            status, answer, wait = self._ask(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._log.refused(type(error).__name__)
            self.close()
            return 0.05
        if status == 202:
            assert len(answer.get("errors", ())) == (shape == "flawed"), answer
            self._log.answered(items, answer)
            return None
        self._log.refused(str(status))
        if status not in (429, 503):
            raise AssertionError(f"the gateway answers {status} {answer}")
        return wait

    def begin(self, items: Sequence[dict[str, Any]], shape: Shape = "object") -> None:
        """Post ``items`` and do not wait for the answer."""
        self._log.sending(items)
        self._begun = items
        self._open().request("POST", PATH, *encoded(items, shape))

    def answered_within(self, seconds: float) -> bool:
        """Whether what was begun is acknowledged in that time."""
        connection = self._open()
        connection.sock.settimeout(seconds)
        try:
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return False
        if answer.status == 202:
            self._log.answered(self._begun, json.loads(content))
        return answer.status == 202

    def post(self, items: Sequence[dict[str, Any]], shape: Shape = "object", seconds: float = 30.0) -> None:
        """Post ``items`` until they are acknowledged."""
        deadline = time.monotonic() + seconds
        while (wait := self.post_once(items, shape)) is not None:
            assert time.monotonic() < deadline, f"{items[0]['id']} was not acknowledged in {seconds} s"
            time.sleep(min(wait, LONGEST_PAUSE))

    def _ask(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any], float]:
        connection = self._open()
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        wait = float(answer.headers.get("Retry-After", 0.05))
        if answer.headers.get("Connection") == "close":
            self.close()
        return answer.status, json.loads(content), wait

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=ANSWER_SECONDS)
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def encoded(items: Sequence[dict[str, Any]], shape: Shape) -> tuple[bytes, dict[str, str]]:
    """``items`` as a body, and its headers."""
    headers = {"Content-Type": CONTENT_TYPES.get(shape, "application/json")}
    if shape == "object":
        (item,) = items
        return json.dumps(item).encode(), headers
    if shape == "lines":
        return b"".join(json.dumps(item).encode() + b"\n" for item in items), headers
    body = json.dumps([FLAW, *items] if shape == "flawed" else list(items)).encode()
    return (gzip.compress(body), headers | {"Content-Encoding": "gzip"}) if shape == "gzip" else (body, headers)


class Producer:
    """A thread that posts transitions of one shape after another, until told to stop; then it finishes its last."""

    def __init__(self, name: str, shape: Shape, client: Client, random: Random, pause: float) -> None:
        self.failure: BaseException | None = None
        self._name, self._shape, self._client, self._random, self._pause = name, shape, client, random, pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_safely, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no other request."""
        self._stopping.set()

    def join(self, seconds: float = 40.0) -> None:
        """Wait for the last acknowledgement; raises what went wrong."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"producer {self._name} did not end"
        if self.failure is not None:
            raise self.failure

    def _run_safely(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.failure = error
        finally:
            self._client.close()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(self._random.random() * self._pause):
            size = 1 if self._shape == "object" else self._random.randint(1, 8)
            ids = [f"{self._name}-{n:06d}" for n in range(number, number + size)]
            number += size
            tasks = self._random.choices(tuple(DESTINATIONS), weights=(3, 2, 1, 4), k=size)
            self._client.post([transition(id, task) for id, task in zip(ids, tasks, strict=True)], self._shape)
