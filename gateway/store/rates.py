"""Rates: how much of a channel's rate is used up, by all nodes together.

A node is granted *slots*: the right to send so many messages until some instant. A slot counts against the rate
from when it is granted until a whole stretch of time after the last moment it may be used at, so no stretch holds
more messages than the rate allows, whoever sends them. What a node did not use, and how early it used the rest, it
says when it asks again. All instants are those of the database's clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Connection, bindparam, select, text, update

from gateway.store.dialects import milliseconds_now
from gateway.store.schema import rate

LONGEST_USE = 10.0
"""Seconds for which slots are granted, at most."""

BUSY_PAUSE = 0.03
"""Seconds after which to ask again when another node is being granted slots of the channel right now."""

MOST_INSTANTS = 256
"""Into how many parts a stretch of time is divided at most; a slot may count so much longer than it should."""


@dataclass(frozen=True, slots=True)
class Used:
    """What became of slots granted before.

    Attributes:
        until: as in their grant.
        granted: how many there were.
        sent: how many of them were used.
        age: seconds since the last of those was.
    """

    until: int
    granted: int
    sent: int
    age: float


@dataclass(frozen=True, slots=True)
class WantSlots:
    """A lane's wish to send.

    Attributes:
        channel: whose rate it is.
        count: how many messages ``per`` allows.
        per: the stretch of time, in seconds.
        slots: how many are wanted.
        use: seconds within which they will be used.
        used: what became of those granted before.
    """

    channel: str
    count: int
    per: float
    slots: int
    use: float
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a lane may send.

    Attributes:
        slots: how many messages, none perhaps.
        until: a name for these slots: the last instant they may be used at, in milliseconds.
        left: how many more could have been granted.
        wait: seconds until there may be slots, when there are none.
    """

    slots: int
    until: int = 0
    left: int = 0
    wait: float = 0.0


Window = Mapping[int, int]
"""Slots that still count, by the last instant (in milliseconds) they may be used at."""


def granted(window: Window, want: WantSlots, now: int) -> tuple[Window, Grant]:
    """What ``want`` is granted at ``now``, and the window afterwards."""
    per = ceil(want.per * 1000)
    latest = now + ceil(LONGEST_USE * 1000) + per // MOST_INSTANTS + 1  # what is later is from before the clock was set
    counting = {until: slots for until, slots in window.items() if now < until + per and until <= latest}
    if want.used is not None:
        counting = _settled(counting, want.used, want, now)
    free = max(0, want.count - sum(counting.values()))
    slots = min(want.slots, free)
    if not slots:
        return counting, Grant(0, wait=(min(counting) + per - now) / 1000)
    until = _rounded(now + ceil(min(want.use, LONGEST_USE) * 1000), want)
    counting[until] = counting.get(until, 0) + slots
    return counting, Grant(slots, until, free - slots)


def _settled(window: dict[int, int], used: Used, want: WantSlots, now: int) -> dict[int, int]:
    """``window`` with the slots of a grant counted only as far as they were used."""
    if window.get(used.until, 0) < used.granted:
        return window
    sent_until = min(used.until, _rounded(now - int(used.age * 1000), want))
    window[used.until] -= used.granted
    window[sent_until] = window.get(sent_until, 0) + used.sent
    return {until: slots for until, slots in window.items() if slots}


def _rounded(instant: int, want: WantSlots) -> int:
    """``instant`` or somewhat later, so that a window never holds more than so many different ones."""
    grain = 1 if want.count <= MOST_INSTANTS else max(1, int(want.per * 1000) // MOST_INSTANTS)
    return -(-instant // grain) * grain


# A channel whose row another node holds is passed over: a rate must not make nodes wait for each other.
_WINDOWS = (
    select(rate.c.channel, rate.c.granted)
    .where(rate.c.channel.in_(bindparam("channels", expanding=True)))
    .order_by(rate.c.channel)
    .with_for_update(skip_locked=True)
)
_NEW = text("INSERT INTO rate (channel, granted) VALUES (:channel, '{}') ON CONFLICT (channel) DO NOTHING")
_KEEP = update(rate).where(rate.c.channel == bindparam("wanted")).values(granted=bindparam("window"))


def grant(connection: Connection, node: int, wants: Sequence[WantSlots]) -> list[Grant]:
    """Grant slots to each in turn. Nobody is waited for: if another node is at it, the answer is to ask again soon."""
    windows = _windows(connection, sorted({want.channel for want in wants}))
    now: int = connection.execute(select(milliseconds_now())).scalar_one()
    grants = []
    for want in wants:
        if want.channel not in windows:
            grants.append(Grant(0, wait=BUSY_PAUSE))
            continue
        windows[want.channel], answer = granted(windows[want.channel], want, now)
        grants.append(answer)
    if windows:
        kept = [{"wanted": channel, "window": json.dumps(window)} for channel, window in sorted(windows.items())]
        connection.execute(_KEEP, kept)
    return grants


def _windows(connection: Connection, channels: Sequence[str]) -> dict[str, Window]:
    """The windows of those ``channels`` that are ours until the transaction ends."""
    rows = connection.execute(_WINDOWS, {"channels": channels})
    windows: dict[str, Window] = {row.channel: _read(row.granted) for row in rows}
    for channel in channels:
        if channel not in windows and connection.execute(_NEW, {"channel": channel}).rowcount:
            windows[channel] = {}
    return windows


def _read(written: str) -> Window:
    return {int(until): slots for until, slots in json.loads(written).items()}
