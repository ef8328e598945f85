"""A server that does not answer is logged once, and told to operators when it lasts; so is its return."""

from __future__ import annotations

from gateway.delivery.notice import Notice
from gateway.errors import SourceError
from gateway.sources.prefect.contact import Contact

REFUSED = SourceError("no connection")


def test_operators_hear_of_a_server_that_is_away_for_minutes_and_of_its_return(caplog) -> None:
    now, told = [0.0], list[Notice]()
    contact = Contact("http://prefect/api", told.append, lambda: now[0])

    for now[0] in (1.0, 100.0, 179.0):
        contact.failed(REFUSED)
    assert told == []
    for now[0] in (180.0, 300.0):
        contact.failed(REFUSED)
    assert contact.made()

    assert [(one.kind, one.subject, one.is_good) for one in told] == [
        ("source_away", "prefect3", False),
        ("source_back", "prefect3", True),
    ]
    assert told[0].text == "Prefect was not read for 3m: no connection"
    assert [record.message for record in caplog.records] == [
        "Prefect cannot be read now; it is tried again",
        "Prefect can be read again",
    ]


def test_a_short_absence_is_told_nobody_and_another_reason_is_logged(caplog) -> None:
    told: list[Notice] = []
    contact = Contact("http://prefect/api", told.append, lambda: 0.0)

    contact.failed(REFUSED)
    contact.failed(SourceError("no answer in time"))

    assert contact.made()
    assert not contact.made()
    assert told == []
    assert len(caplog.records) == 3
