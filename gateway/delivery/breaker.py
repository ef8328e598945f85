"""The breaker of one channel: parks a channel that keeps failing, so that it costs nobody attempts or time.

Closed: messages go. Open: none goes until it is time for a probe. Half-open: one probe is on its way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gateway.channels.base import Outcome

BreakerState = Literal["closed", "open", "half-open"]

PROBE_PATIENCE = 1.0
"""Seconds after which somebody who waits for a probe looks again."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how long it stays so.

    Attributes:
        threshold: failed attempts in a row that open it. A channel-wide outcome opens it at once.
        first: seconds until the first probe; doubled with every probe that fails.
        longest: seconds, the most that is waited for a probe.
    """

    threshold: int = 5
    first: float = 10.0
    longest: float = 600.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of a breaker; every event gives a new one. Seconds are those of a clock that only goes on.

    Attributes:
        failures: failed attempts in a row.
        probes: failed probes in a row.
        probe_at: when the next probe may go.
        reason: what opened it; ``""`` while closed.
    """

    policy: BreakerPolicy = BreakerPolicy()
    state: BreakerState = "closed"
    failures: int = 0
    probes: int = 0
    probe_at: float = 0.0
    reason: str = ""

    def permits(self, now: float) -> bool:
        """Whether a message may go."""
        return self.state == "closed" or (self.state == "open" and now >= self.probe_at)

    def wait(self, now: float) -> float:
        """Seconds after which asking again makes sense; 0 when a message may go."""
        if self.state == "half-open":
            return PROBE_PATIENCE
        return 0.0 if self.permits(now) else self.probe_at - now

    def sending(self) -> Breaker:
        """A permitted message goes: while open, it is the probe."""
        return self if self.state == "closed" else replace(self, state="half-open")

    def unsent(self) -> Breaker:
        """The permitted message did not go after all; the next may be the probe."""
        return replace(self, state="open") if self.state == "half-open" else self

    def after(self, outcome: Outcome, now: float) -> Breaker:
        """What ``outcome`` makes of it."""
        if outcome.kind == "channel":
            return self._opened(outcome, now)
        if outcome.kind in ("delivered", "permanent") or outcome.retry_after is not None:
            # the service is there and answers
            return self if self.state == "closed" and not self.failures else Breaker(self.policy)
        if self.state != "closed" or self.failures + 1 >= self.policy.threshold:
            return self._opened(outcome, now)
        return replace(self, failures=self.failures + 1)

    def _opened(self, outcome: Outcome, now: float) -> Breaker:
        if self.state == "open":  # an attempt that began before it opened
            return self
        wait = min(self.policy.longest, self.policy.first * 2.0 ** min(self.probes, 60))
        return replace(
            self,
            state="open",
            failures=self.failures + 1,
            probes=self.probes + 1,
            probe_at=now + wait,
            reason=outcome.reason,
        )
