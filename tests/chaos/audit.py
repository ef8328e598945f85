"""The audit: what must be true of the books, whatever happened. Pure: told everything, decides, changes nothing.

Each rule compares what the producers know, what the store says and what the sink saw, and tells what is broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SHOWN = 8
"""Ids named in a report; of the others only the number."""

Ledger = Mapping[tuple[str, str], Mapping[str, int]]
"""Counts by handler and channel, and in these by account."""

ON_ITS_WAY = 1.0
"""Seconds by which a message may be seen to arrive after the death of who has sent it."""

ENDS = frozenset({"delivered", "suppressed", "dead", "cancelled"})


@dataclass(frozen=True, slots=True)
class TransitionEntry:
    """A transition in the store."""

    seq: int
    id: str
    matched: bool


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """A delivery in the store; ``outcomes`` are its attempts' by their number."""

    id: int
    transition_seq: int
    handler: str
    channel: str
    status: str
    attempts: int
    fallback_of: int | None = None
    outcomes: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """Everything the store holds, read in one view.

    Attributes:
        store_id: the first half of every idempotency key.
        damage: what the database found wrong with itself.
    """

    store_id: str
    transitions: tuple[TransitionEntry, ...]
    deliveries: tuple[DeliveryEntry, ...]
    ledger: Ledger
    counters: Mapping[str, int]
    damage: tuple[str, ...] = ()

    def key_of(self, delivery: DeliveryEntry) -> str:
        """The idempotency key of all attempts of ``delivery``."""
        return f"{self.store_id}-{delivery.id}"


@dataclass(frozen=True, slots=True)
class Posted:
    """What the producers know.

    Attributes:
        destinations: for every id ever sent, who is to be told: (handler, channel).
        acknowledged: the ids that a 202 has answered for.
        accepted: the sum of what the answers called accepted.
        duplicates: the sum of what the answers called duplicates.
        items: how many items were in the requests answered with 202.
    """

    destinations: Mapping[str, tuple[tuple[str, str], ...]]
    acknowledged: frozenset[str]
    accepted: int
    duplicates: int
    items: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request at the sink.

    Attributes:
        at: when it was there in full (``time.monotonic``).
        taken: the sink counts the message as its own.
        answered: a 2xx was written for it, to the last byte.
        paused_until: until when it asked to be left alone; 0 unless it did.
    """

    at: float
    channel: str
    key: str
    text: str = ""
    mode: str = "ok"
    taken: bool = True
    answered: bool = True
    paused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold."""

    rule: str
    says: str
    ids: tuple[object, ...] = ()

    def __str__(self) -> str:
        named = ", ".join(map(str, self.ids[:SHOWN]))
        more = f" and {len(self.ids) - SHOWN} more" if len(self.ids) > SHOWN else ""
        return f"{self.rule}: {self.says}" + (f": {named}{more}" if named else "")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an audit goes by.

    Attributes:
        deaths: when processes died, or lost what they held (``time.monotonic``).
        in_flight: the most messages that may have been out, and not yet recorded, at one death.
        fallbacks: the fallback of each channel that has one.
    """

    books: Books
    posted: Posted
    arrivals: Sequence[Arrival]
    deaths: Sequence[float] = ()
    in_flight: int = 0
    fallbacks: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Evidence], Iterator[Broken]]


def audit(evidence: Evidence) -> list[Broken]:
    """Every rule that does not hold."""
    return [broken for rule in RULES for broken in rule(evidence)]


def audit_running(books: Books) -> list[Broken]:
    """What must be true at any moment, in the middle of everything."""
    return [*ledger_is_the_rows(books), *ledger_balances(books.ledger)]


def i1_accepted_is_kept(evidence: Evidence) -> Iterator[Broken]:
    """Accepted ⇒ there is a row."""
    known = {one.id for one in evidence.books.transitions}
    yield from _broken("I1", "accepted and lost", evidence.posted.acknowledged - known)


def i2_transitions_have_their_deliveries(evidence: Evidence) -> Iterator[Broken]:
    """Each transition has one delivery for everybody who is to be told, and no other."""
    had: dict[int, Counter[tuple[str, str]]] = {}
    for one in evidence.books.deliveries:
        if one.fallback_of is None:
            had.setdefault(one.transition_seq, Counter())[one.handler, one.channel] += 1
    missing, doubled, unknown = [], [], []
    for row in evidence.books.transitions:
        wanted = evidence.posted.destinations.get(row.id)
        if wanted is None:
            unknown.append(row.id)
            continue
        found = had.get(row.seq, Counter())
        missing += [f"{row.id} to {channel}" for handler, channel in wanted if not found[handler, channel]]
        doubled += [f"{row.id} to {channel}" for (_, channel), number in (found - Counter(wanted)).items() if number]
    repeated = [id for id, number in Counter(row.id for row in evidence.books.transitions).items() if number > 1]
    yield from _broken("I2", "transitions without a delivery they must have", missing)
    yield from _broken("I2", "deliveries that should not be, or be once", doubled)
    yield from _broken("I2", "transitions with two rows", repeated)
    yield from _broken("I2", "transitions nobody has sent", unknown)


def i2_answers_count_the_rows(evidence: Evidence) -> Iterator[Broken]:
    """No transition was called accepted twice, and every item was called one or the other."""
    posted, rows = evidence.posted, len(evidence.books.transitions)
    if posted.accepted > rows:
        yield Broken("I2", f"{posted.accepted} were called accepted, and there are {rows} rows")
    if posted.accepted + posted.duplicates != posted.items:
        yield Broken(
            "I2", f"{posted.items} items were answered by {posted.accepted} accepted and {posted.duplicates} duplicates"
        )


def i2_fallbacks_follow_the_dead(evidence: Evidence) -> Iterator[Broken]:
    """Each dead delivery of a channel with a fallback has exactly one successor, and only a dead one has."""
    rows = {one.id: one for one in evidence.books.deliveries}
    successors = Counter(one.fallback_of for one in rows.values() if one.fallback_of is not None)
    dead = {
        one.id
        for one in rows.values()
        if one.status == "dead" and one.fallback_of is None and one.channel in evidence.fallbacks
    }
    yield from _broken("I2", "given up without a fallback", dead - set(successors))
    yield from _broken("I2", "fallbacks of what was not given up", set(successors) - dead)
    yield from _broken("I2", "given up with two fallbacks", [id for id, number in successors.items() if number > 1])


def i3_all_have_ended(evidence: Evidence) -> Iterator[Broken]:
    """After the drain nothing is owed."""
    left = [f"{one.id} ({one.status} for {one.channel})" for one in evidence.books.deliveries if one.status not in ENDS]
    yield from _broken("I3", "unfinished", left)


def i4_delivered_is_proven(evidence: Evidence) -> Iterator[Broken]:
    """Delivered ⇒ the sink has answered it with a 2xx, under its key."""
    proven = {one.key for one in evidence.arrivals if one.answered}
    books = evidence.books
    claimed = [one.id for one in books.deliveries if one.status == "delivered" and books.key_of(one) not in proven]
    yield from _broken("I4", "called delivered, and the sink never said so", claimed)


def i4_sent_is_kept(evidence: Evidence) -> Iterator[Broken]:
    """What reaches the sink is in the books: nothing leaves before it is on the disk."""
    known = {evidence.books.key_of(one) for one in evidence.books.deliveries}
    yield from _broken("I4", "sent, and not in the books", {one.key for one in evidence.arrivals} - known)


def i5_duplicates_are_explained(evidence: Evidence) -> Iterator[Broken]:
    """A message arrives twice only after a lost reply, or because its process died before the first was recorded."""
    unknown = Counter(
        {
            evidence.books.key_of(one): sum(outcome == "unknown" for _, outcome in one.outcomes)
            for one in evidence.books.deliveries
        }
    )
    charged, unexplained = Counter[float](), Counter[str]()
    for first, second in _repeats(evidence.arrivals):
        death = next((at for at in evidence.deaths if first.at - ON_ITS_WAY < at < second.at), None)
        if not first.answered:
            unknown[first.key] -= 1
        elif death is not None:
            charged[death] += 1
        else:
            unexplained[first.key] += 1
    yield from _broken("I5", "messages that arrived twice for no reason", unexplained - +unknown)
    yield from _broken(
        "I5",
        f"deaths after which more than {evidence.in_flight} messages arrived twice",
        [f"{number} after {at:.2f}" for at, number in charged.items() if number > evidence.in_flight],
    )


def _repeats(arrivals: Iterable[Arrival]) -> Iterator[tuple[Arrival, Arrival]]:
    """Each message that was taken again, and the time before."""
    last: dict[str, Arrival] = {}
    for one in arrivals:
        if one.taken:
            if one.key in last:
                yield last[one.key], one
            last[one.key] = one


def i6_attempts_are_contiguous(evidence: Evidence) -> Iterator[Broken]:
    """The attempts of a delivery are numbered 1, 2, 3 … and it knows how many they are."""
    gaps = [
        one.id
        for one in evidence.books.deliveries
        if [n for n, _ in one.outcomes] != list(range(1, len(one.outcomes) + 1)) or one.attempts != len(one.outcomes)
    ]
    yield from _broken("I6", "attempts that do not count 1, 2, 3 …", gaps)


def i7_counters_agree(evidence: Evidence) -> Iterator[Broken]:
    """The counters of transitions agree with the rows."""
    rows, counters = evidence.books.transitions, evidence.books.counters
    unmatched = sum(not row.matched for row in rows)
    for name, found in (("transitions", len(rows)), ("unmatched", unmatched)):
        if counters.get(name, 0) != found:
            yield Broken("I7", f"the counter {name} says {counters.get(name, 0)}, and there are {found} rows")
    if counters.get("duplicates", 0) < evidence.posted.duplicates:
        yield Broken(
            "I7", f"{evidence.posted.duplicates} duplicates were told, {counters.get('duplicates', 0)} counted"
        )


def ledger_is_the_rows(books: Books) -> Iterator[Broken]:
    """The ledger says what the rows say, for each handler and channel."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for one in books.deliveries:
        counted[one.handler, one.channel, "accepted"] += 1
        counted[one.handler, one.channel, one.status if one.status in ENDS else "owed"] += 1
    kept = Counter(
        {(*line, account): number for line, accounts in books.ledger.items() for account, number in accounts.items()}
    )
    differing = [
        f"{handler} → {channel}: {account} {kept[handler, channel, account]}, rows {counted[handler, channel, account]}"
        for handler, channel, account in sorted(kept.keys() | counted.keys())
        if kept[handler, channel, account] != counted[handler, channel, account]
    ]
    yield from _broken("I7", "the ledger is not what the rows say", differing)


def ledger_balances(ledger: Ledger) -> Iterator[Broken]:
    """Accepted = delivered + suppressed + dead + cancelled + owed."""
    for (handler, channel), accounts in sorted(ledger.items()):
        ended = sum(number for account, number in accounts.items() if account != "accepted")
        if accounts.get("accepted", 0) != ended:
            yield Broken("I7", f"{handler} → {channel} does not balance: {dict(accounts)}")


def i7_ledger(evidence: Evidence) -> Iterator[Broken]:
    """The ledger says what the rows say, and balances."""
    yield from audit_running(evidence.books)


def i8_undamaged(evidence: Evidence) -> Iterator[Broken]:
    """The database finds nothing wrong with itself."""
    yield from _broken("I8", "the database is damaged", evidence.books.damage)


RULES: tuple[Rule, ...] = (
    i1_accepted_is_kept,
    i2_transitions_have_their_deliveries,
    i2_answers_count_the_rows,
    i2_fallbacks_follow_the_dead,
    i3_all_have_ended,
    i4_delivered_is_proven,
    i4_sent_is_kept,
    i5_duplicates_are_explained,
    i6_attempts_are_contiguous,
    i7_counters_agree,
    i7_ledger,
    i8_undamaged,
)


def pauses_are_kept(arrivals: Sequence[Arrival], starts: Sequence[float], slack: float) -> list[Broken]:
    """Nobody calls at a channel that has asked to be left alone.

    Args:
        arrivals: at the sink, in order.
        starts: when processes began: one that is new does not know what its predecessor was told.
        slack: seconds granted to what was on its way already.
    """
    broken = []
    until: dict[str, tuple[float, float]] = {}
    for one in sorted(arrivals, key=lambda arrival: arrival.at):
        begun, end = until.get(one.channel, (0.0, 0.0))
        if begun + slack < one.at < end and not any(begun < start < one.at for start in starts):
            broken.append(f"{one.channel}, {one.at - begun:.2f} s after it asked for {end - begun:.2f} s")
        if one.paused_until:
            until[one.channel] = (one.at, one.paused_until)
    return list(_broken("Retry-After", "called during a pause", broken))


def _broken(rule: str, says: str, ids: Iterable[object]) -> Iterator[Broken]:
    found = tuple(sorted(ids, key=str))
    if found:
        yield Broken(rule, f"{len(found)} {says}", found)
