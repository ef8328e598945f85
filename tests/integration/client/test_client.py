"""A client against a real gateway that is there, away, slow, or does not like what it is sent."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import shutil
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway import Flow, Task, states
from gateway.client import Client
from gateway.client.segment import Segment
from gateway.errors import ClientError
from gateway.testing import HttpSink
from gateway.testing.http_sink import Exchange, answer, drip, hang
from gateway.transition import Obj, Transition
from tests.sidecar import Sidecar, take_all

TOKEN = "a-token-that-nobody-knows-0123"
AWAY = "http://127.0.0.1:9"
Until = Callable[..., None]


def tell(client: Client, *messages: str, result: Any = None) -> None:
    for message in messages:
        client(Task("load"), states.Running(), states.Success(message, result))


def files(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*.spool"))


def left_behind(url: str, spool: Path, *messages: str) -> Path:
    """The file of a process that is gone and has sent nothing."""
    client = Client(AWAY, spool=spool)
    tell(client, *messages)
    client.close(0)
    (old,) = Path(client.folder).glob("*.spool")
    with Client(url, spool=spool) as other:
        folder = Path(other.folder)
    folder.mkdir(exist_ok=True)
    return old.rename(folder / old.name)


def test_a_task_that_has_it_attached_is_told_of_as_it_runs(sidecar: Sidecar, spool: Path) -> None:
    sidecar.start()
    with Client(sidecar.url, spool=spool) as client:
        Flow("etl", tasks=[Task("load", state_handlers=[client])]).run()

    assert [(one.flow.name, one.obj.name, one.old_state.type, one.state.type) for one in sidecar.taken()] == [
        ("etl", "load", "Pending", "Running"),
        ("etl", "load", "Running", "Success"),
    ]
    assert files(spool) == []


def test_it_returns_the_state_it_was_given(spool: Path) -> None:
    state = states.Failed("no route")
    with Client(AWAY, spool=spool) as client:
        assert client(Task("load"), states.Running(), state) is state
        assert client(object(), None, state) is state
        assert client(None, None, None) is None
        client.close(0)


def test_what_is_told_while_the_gateway_is_away_waits_and_arrives(sidecar: Sidecar, spool: Path) -> None:
    with Client(sidecar.url, spool=spool) as client:
        before = time.time()
        tell(client, "one", "two")
        after = time.time()
        assert client.flush(0.1) is False
        assert client.waiting == 2
        sidecar.start()

        assert client.flush(10) is True
        assert client.waiting == 0
        assert sidecar.messages() == ["one", "two"]
        assert all(before <= one.occurred_at.timestamp() <= after for one in sidecar.taken())


def test_a_gateway_that_goes_away_in_the_middle_misses_nothing(sidecar: Sidecar, spool: Path, until: Until) -> None:
    sidecar.start()
    with Client(sidecar.url, spool=spool) as client:
        tell(client, *map(str, range(10)))
        until(lambda: client.waiting == 0)
        sidecar.stop()
        tell(client, *map(str, range(10, 20)))
        sidecar.start()
        tell(client, *map(str, range(20, 30)))

        assert client.flush(10)
        assert sorted(map(int, sidecar.messages())) == list(range(30))


def test_what_a_closed_client_could_not_send_is_sent_by_the_next_at_its_start(
    sidecar: Sidecar, spool: Path, until: Until
) -> None:
    with Client(sidecar.url, spool=spool) as first:
        tell(first, "one", "two")
        first.close(0.1)
    assert len(files(spool)) == 1
    sidecar.start()

    with Client(sidecar.url, spool=spool):
        until(lambda: sidecar.messages() == ["one", "two"])
        until(lambda: not files(spool))


def test_a_closed_client_still_keeps_what_it_is_told(sidecar: Sidecar, spool: Path, until: Until) -> None:
    first = Client(sidecar.url, spool=spool)
    first.close()
    tell(first, "late")
    first._spool.close()
    sidecar.start()

    with Client(sidecar.url, spool=spool):
        until(lambda: sidecar.messages() == ["late"])


def test_two_clients_on_one_folder_send_each_transition_once(spool: Path) -> None:
    with (
        HttpSink(take_all) as sink,
        Client(sink.url, spool=spool) as one,
        Client(sink.url, spool=spool, sync=True) as other,
    ):
        tell(one, "a")
        tell(other, "b")
        assert one.flush(5)
        assert other.flush(5)

        assert len([line for request in sink.received for line in request.body.splitlines()]) == 2


def test_a_torn_last_line_is_put_aside_and_the_others_arrive(sidecar: Sidecar, spool: Path, until: Until) -> None:
    sidecar.start()
    file = left_behind(sidecar.url, spool, "one", "two", "three")
    os.truncate(file, file.stat().st_size - 2)

    with Client(sidecar.url, spool=spool) as client:
        until(lambda: not files(spool))

        assert sidecar.messages() == ["one", "two"]
        assert client.rejected == 1
        (rejected,) = (Path(client.folder) / "rejected.ndjson").read_text().splitlines()
        assert '"three"' in json.loads(rejected)["event"]


def test_zeros_that_a_loss_of_power_leaves_stop_nothing(sidecar: Sidecar, spool: Path, until: Until) -> None:
    sidecar.start()
    file = left_behind(sidecar.url, spool, "one")
    with file.open("ab") as written:
        written.write(b"\0" * 4096)

    with Client(sidecar.url, spool=spool):
        until(lambda: not files(spool))
        assert sidecar.messages() == ["one"]


def test_one_that_is_refused_is_put_aside_with_what_is_wrong(
    sidecar: Sidecar, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.start()
    bad = Transition.of(Obj("task", "load"), None, states.Success("bad"), id="i" * 300)
    with Client(sidecar.url, spool=spool) as client:
        tell(client, "one")
        client.take([bad])
        tell(client, "two")

        assert client.flush(5)
        assert sorted(sidecar.messages()) == ["one", "two"]
        assert client.rejected == 1
        rejected = json.loads((Path(client.folder) / "rejected.ndjson").read_text())
        assert rejected["complaints"] == ["id: String should have at most 200 characters"]
        assert json.loads(rejected["event"])["new_state"]["message"] == "bad"
        assert any(message.endswith(rejected["complaints"][0]) for message in caplog.messages)


def test_many_small_ones_are_sent_apart_where_only_little_is_taken_at_once(tmp_path: Path, spool: Path) -> None:
    with Sidecar(tmp_path / "sidecar", 'max_body = "1KiB"\n') as sidecar, Client(sidecar.url, spool=spool) as client:
        client.take([Transition.of(Obj("task", "load"), None, states.Success(str(n))) for n in range(50)])

        assert client.flush(10)
        assert sorted(map(int, sidecar.messages())) == list(range(50))
        assert client.rejected == 0


def test_of_one_that_is_too_large_alone_arrives_what_happened_to_whom(tmp_path: Path, spool: Path) -> None:
    with Sidecar(tmp_path / "sidecar", 'max_body = "1KiB"\n') as sidecar, Client(sidecar.url, spool=spool) as client:
        tell(client, "the message", result=["x" * 1_000] * 5)

        assert client.flush(5)
        (taken,) = sidecar.taken()
        assert (taken.state.message, taken.state.result) == ("the message", None)


# a gateway that fails on one


def failing_on(sink: list[str], poison: str) -> Callable[[Exchange], None]:
    """Answers as a gateway in which one transition leads to an error; what it takes goes to ``sink``."""

    def behave(exchange: Exchange) -> None:
        events = [json.loads(line) for line in exchange.received.body.splitlines()]
        messages = [event["new_state"]["message"] for event in events]
        if poison in messages:
            answer(500, "Internal Server Error")(exchange)
        else:
            sink.extend(message for message in messages if message not in sink)
            answer(202, json.dumps({"accepted": len(events), "duplicates": 0}))(exchange)

    return behave


def test_one_that_a_gateway_fails_on_holds_back_no_others(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[str] = []
    with HttpSink(failing_on(taken, "3")) as gateway, Client(gateway.url, spool=spool) as client:
        client.take([Transition.of(Obj("task", "load"), None, states.Success(str(n))) for n in range(10)])

        assert client.flush(20)
        assert taken == ["0", "1", "2", "4", "5", "6", "7", "8", "9"]
        assert client.rejected == 1
        rejected = json.loads((Path(client.folder) / "rejected.ndjson").read_text())
        assert rejected["complaints"] == [
            "it fails at the gateway, which takes others: the gateway takes nothing at present: 500"
        ]


def test_one_alone_that_a_gateway_fails_on_waits_until_others_are_taken(spool: Path) -> None:
    taken: list[str] = []
    with HttpSink(failing_on(taken, "poison")) as gateway, Client(gateway.url, spool=spool) as client:
        tell(client, "poison")

        assert not client.flush(3)
        assert (client.waiting, client.rejected) == (1, 0)
        tell(client, "one")
        assert client.flush(10)
        assert (taken, client.rejected) == (["one"], 1)


def test_one_that_somebody_left_and_a_gateway_fails_on_holds_back_no_other_files(spool: Path, until: Until) -> None:
    taken: list[str] = []
    with HttpSink(failing_on(taken, "poison")) as gateway:
        for message in ("poison", "one", "two"):
            left_behind(gateway.url, spool, message)
        with Client(gateway.url, spool=spool) as client:
            until(lambda: not client.files_of_others(), seconds=20)

            assert (taken, client.rejected) == (["one", "two"], 1)


def test_a_gateway_that_fails_on_all_is_tried_until_it_does_not(spool: Path) -> None:
    taken: list[str] = []
    with HttpSink(answer(500)) as gateway, Client(gateway.url, spool=spool) as client:
        tell(client, *map(str, range(40)))
        assert not client.flush(4)
        assert (client.waiting, client.rejected) == (40, 0)

        gateway.behaviour = failing_on(taken, "")
        assert client.flush(10)
        assert sorted(map(int, taken)) == list(range(40))


def test_while_it_is_waited_for_a_gateway_in_trouble_is_tried_a_few_times_a_second(spool: Path) -> None:
    with HttpSink(answer(503)) as gateway, Client(gateway.url, spool=spool) as client:
        tell(client, "one")
        assert not client.flush(1)
        client.close(0)

        assert 2 <= len(gateway.received) <= 8


def test_a_file_that_cannot_be_taken_away_is_emptied_and_sent_once(sidecar: Sidecar, spool: Path) -> None:
    sidecar.start()
    with Client(sidecar.url, spool=spool) as client:
        tell(client, "one")
        assert client.flush(5)
        moved = spool.rename(spool.with_name("moved"))
        spool.write_text("a file where the folder was: the path can be neither used nor deleted")

    assert [one.stat().st_size for one in files(moved)] == [0]
    assert sidecar.messages() == ["one"]


def test_what_is_told_after_the_folder_was_deleted_outlives_the_process_again(sidecar: Sidecar, spool: Path) -> None:
    with Client(sidecar.url, spool=spool) as client:
        tell(client, "one")
        shutil.rmtree(spool)
        tell(client, "two")

        assert len(files(spool)) == 1
        sidecar.start()
        assert client.flush(10)
        assert sidecar.messages() == ["one", "two"]


# the token


def test_a_token_is_sent_and_shown_nowhere(
    tmp_path: Path, spool: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SIDECAR_TOKEN", TOKEN)
    with Sidecar(tmp_path / "sidecar", 'token = { env = "SIDECAR_TOKEN" }\n') as sidecar:
        client = Client(sidecar.url, token=TOKEN, spool=spool)
        tell(client, "one")
        assert client.flush(5)
        sidecar.stop()
        tell(client, "two")
        client.close(0.2)

        seen = [repr(client), str(pickle.dumps(client)), caplog.text, *map(str, files(spool))]
        seen += [path.read_text() for path in files(spool)]
        assert len(files(spool)) == 1
        assert not any(TOKEN in one for one in seen)
        sidecar.start()
        assert sidecar.messages() == ["one"]


def test_a_token_that_is_refused_keeps_everything_until_it_is_right(
    tmp_path: Path, spool: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_TOKEN", TOKEN)
    monkeypatch.setenv("GATEWAY_TOKEN", "the-old-one")
    with (
        Sidecar(tmp_path / "sidecar", 'token = { env = "SIDECAR_TOKEN" }\n') as sidecar,
        Client(sidecar.url, spool=spool) as client,
    ):
        tell(client, "one", "two")
        assert not client.flush(1)
        waits = [record for record in caplog.records if record.message.startswith("transitions wait for the gateway")]
        assert [record.levelname for record in waits] == ["ERROR"]
        assert "token" in waits[0].message  # why, even where a log shows nothing but messages
        assert sidecar.messages() == []

        monkeypatch.setenv("GATEWAY_TOKEN", TOKEN)
        assert client.flush(5)
        assert sorted(sidecar.messages()) == ["one", "two"]


def test_a_token_that_is_none_is_said_and_not_shown(spool: Path) -> None:
    with pytest.raises(ClientError, match="printable ASCII") as raised:
        Client(AWAY, token="t0p\nsecret", spool=spool)

    assert "t0p" not in str(raised.value)


# https


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[HttpSink]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HttpSink(take_all, tls=context) as running:
        yield running


def test_https_is_taken_from_whom_the_given_authority_vouches_for(
    secure: HttpSink, authority: trustme.CA, tmp_path: Path, spool: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Client(f"https://{secure.address}", spool=spool, cafile=tmp_path / "ca.pem") as client:
        tell(client, "one")

        assert client.flush(5)
        (received,) = secure.received
        assert json.loads(received.body)["new_state"]["message"] == "one"


def test_https_of_anybody_else_gets_nothing(secure: HttpSink, spool: Path) -> None:
    with Client(f"https://{secure.address}", spool=spool, token=TOKEN) as client:
        tell(client, "one")

        assert not client.flush(0.5)
        assert client.waiting == 1
        assert secure.received == []
        client.close(0)


def test_a_file_of_certificates_that_is_none_is_said(tmp_path: Path, spool: Path) -> None:
    with pytest.raises(ClientError, match=r"certificates in .*nothing.pem cannot be read"):
        Client("https://127.0.0.1", spool=spool, cafile=tmp_path / "nothing.pem")


# how long it takes


def test_a_gateway_that_does_not_answer_holds_nobody_up(spool: Path) -> None:
    with HttpSink(hang()) as sink, Client(sink.url, spool=spool) as client:
        started = time.monotonic()
        tell(client, *map(str, range(200)))
        assert time.monotonic() - started < 2
        assert client.waiting == 200

        started = time.monotonic()
        client.close(0.3)
        assert time.monotonic() - started < 2


def test_an_answer_that_never_ends_is_not_waited_for(
    spool: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.sender.ANSWER_SECONDS", 0.3)
    with HttpSink(take_all) as sink, Client(sink.url, spool=spool) as client:
        sink.plan(drip())
        tell(client, "one")
        until(lambda: client.waiting == 0)

        assert len(sink.received) == 2


def test_it_comes_again_when_the_gateway_says(spool: Path, until: Until) -> None:
    with HttpSink(take_all) as sink, Client(sink.url, spool=spool) as client:
        sink.plan(answer(503, "{}", {"Retry-After": "1"}))
        tell(client, "one")
        until(lambda: len(sink.received) == 1)
        first = time.monotonic()
        until(lambda: client.waiting == 0)

        assert 0.9 < time.monotonic() - first < 5
        assert sink.received[0].body == sink.received[1].body


def test_many_threads_lose_nothing(sidecar: Sidecar, spool: Path) -> None:
    sidecar.start()
    with Client(sidecar.url, spool=spool) as client:
        names = [[f"{thread}-{number}" for number in range(100)] for thread in range(8)]
        threads = [threading.Thread(target=tell, args=(client, *part)) for part in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert client.flush(20)
        assert sorted(sidecar.messages()) == sorted(name for part in names for name in part)


# room


def test_beyond_its_limit_nothing_new_is_taken_and_what_waits_stays(
    sidecar: Sidecar, spool: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.sender.HELD_BYTES", 1_000)
    with Client(sidecar.url, spool=spool, limit=2_000) as client:
        tell(client, *map(str, range(100)))

        assert 0 < client.lost < 100
        waited = 100 - client.lost
        assert any("transitions were lost" in message for message in caplog.messages)
        assert len([one for one in caplog.messages if "lost" in one]) < 10
        sidecar.start()
        assert client.flush(10)
        assert sorted(map(int, sidecar.messages())) == list(range(waited))


def test_others_files_count_against_the_limit(spool: Path) -> None:
    with Client(AWAY, spool=spool, limit=2_000) as first, Client(AWAY, spool=spool, limit=2_000) as second:
        tell(first, "x" * 1_500)
        tell(second, "y" * 1_500)

        assert (first.waiting, second.waiting) == (1, 0)
        assert second.lost == 0  # it is held in memory
        first.close(0)
        second.close(0)


def test_half_a_line_that_the_disk_took_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment.create(tmp_path)
    segment.append(b"one\n")
    with pytest.raises(OSError, match="No space left"), monkeypatch.context() as patched:
        written = os.write
        patched.setattr(os, "write", lambda descriptor, lines: written(descriptor, lines[:2]))
        segment.append(b"two\n")
    segment.append(b"three\n")

    batch = segment.batch()
    assert batch is not None
    assert batch.lines == (b"one", b"three")
    segment.delete()


def test_files_are_for_their_user_alone(spool: Path) -> None:
    with Client(AWAY, spool=spool) as client:
        tell(client, "one")
        (file,) = files(spool)

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        client.close(0)


# where it cannot be


@pytest.mark.parametrize("place", ["a-file", "/proc/nowhere"])
def test_a_folder_that_takes_no_files_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(ClientError, match=r"transitions cannot wait in .*: .*GATEWAY_SPOOL"):
        Client(AWAY, spool=tmp_path / place)


def test_the_environment_says_where(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "http://gateway.example:1")
    monkeypatch.setenv("GATEWAY_SPOOL", str(spool))
    client = Client()

    assert client.url == "http://gateway.example:1"
    assert client.folder.startswith(str(spool))


# copies


def test_in_its_process_a_pickle_is_the_client_itself(spool: Path) -> None:
    client = Client(AWAY, spool=spool, token=TOKEN)

    assert pickle.loads(pickle.dumps(client)) is client
    assert copy.deepcopy(client) is client
