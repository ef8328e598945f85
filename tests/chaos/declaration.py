"""What the gateway under test is told to do, in versions good and bad, and whom each transition is to reach.

Four channels at one sink. ``steady`` and ``other`` try for ever; ``fickle`` gives up after three attempts
and falls back to ``last``. The version of the declaration stands in every message.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

CHANNELS = ("steady", "other", "fickle", "last")
FALLBACKS = {"fickle": "last"}
IN_FLIGHT = 16
"""The most messages of one channel that are out, or answered and not yet recorded, when its gateway dies: attempts
in progress and outcomes on their way to the disk."""

DESTINATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "load": (("failed-load", "steady"),),
    "copy": (("failed-copy", "steady"), ("failed-copy", "other"), ("any-copy", "fickle")),
    "clean": (("failed-clean", "fickle"),),
    "idle": (),
}
"""By the name of its task, who is to be told of a transition: (handler, channel). Nobody is told of ``idle``."""

BAD_MARK = "never-to-be-seen"
"""Stands in the messages of every bad version."""

_TEXT = """\
[gateway]
name = "chaos"

[server]
listen = "127.0.0.1:{port}"

[store]
url = "{store}"
sync = "{sync}"

[reload]
debounce = "50ms"

[channel.steady]
url = "json://{sink}/steady"
timeout = "{timeout}"
rate = "{rate}"
retry = {{ attempts = 1000, first = "100ms", max = "{max}", give_up = "1d" }}

[channel.other]
url = "json://{sink}/other"
timeout = "2s"
rate = "1000/1s"
retry = {{ attempts = 1000, first = "100ms", max = "500ms", give_up = "1d" }}

[channel.fickle]
url = "json://{sink}/fickle"
timeout = "2s"
rate = "1000/1s"
retry = {{ attempts = 3, first = "{patient}", max = "{patient}", give_up = "1d" }}
fallback = "last"

[channel.last]
url = "json://{sink}/last"
timeout = "2s"
rate = "1000/1s"
retry = {{ attempts = 1000, first = "100ms", max = "500ms", give_up = "1d" }}

[[handler]]
name = "failed-load"
when = 'state is failed and task.name == "load"'
to = "steady"
message = "{version} {{{{ event.id }}}}"

[[handler]]
name = "failed-copy"
when = '{copy} and task.name == "copy"'
to = ["steady", "other"]
message = "{version} {{{{ event.id }}}}"

[[handler]]
name = "any-copy"
task = "copy"
to = "fickle"
message = "{version} {{{{ event.id }}}}"

[[handler]]
name = "failed-clean"
when = 'state is failed'
task = "clean"
to = "fickle"
message = "{version} {{{{ event.id }}}}"
"""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A folder with the configuration of the gateway under test."""

    folder: Path
    store: str
    sink: str
    sync: str = "full"

    def write(
        self,
        port: int,
        version: str = "v0",
        *,
        copy: str = "state is failed",
        timeout: str = "2s",
        rate: str = "1000/1s",
        max: str = "500ms",
        patient: str = "200ms",
    ) -> None:
        """Write a good version, in one step as editors do."""
        text = _TEXT.format(
            port=port,
            store=self.store,
            sync=self.sync,
            sink=self.sink,
            version=version,
            copy=copy,
            timeout=timeout,
            rate=rate,
            max=max,
            patient=patient,
        )
        self._put(text)

    def write_good(self, port: int, version: str, random: Random) -> None:
        """Write one of many good versions: other words, and settings that change nothing of the outcome."""
        self.write(
            port,
            version,
            timeout=random.choice(("2s", "3s")),
            rate=random.choice(("1000/1s", "200/1s")),
            max=random.choice(("300ms", "500ms")),
        )

    def write_bad(self, port: int, random: Random) -> None:
        """Write one of several bad versions."""
        flaws: tuple[dict[str, str], ...] = (
            {"copy": "state is faild"},
            {"copy": "state is failed and"},
            {"timeout": "soon"},
            {"rate": "many"},
        )
        self.write(port, BAD_MARK, **random.choice(flaws))  # type: ignore[arg-type]

    def _put(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / ".gateway.toml"
        fresh.write_text(text)
        fresh.replace(self.folder / "gateway.toml")
