"""A real Prefect 3 server that wants a password and protects against forged requests: followed with all its details."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests import environments
from tests.integration.prefect3_server import PrefectServer
from tests.integration.test_prefect3_source import declared, is_following, told, until

pytestmark = pytest.mark.slow

DETAILED = """
[[handler]]
name    = "detailed"
on      = "flow"
when    = "state is failed and flow.parameters.customer == 'globex'"
to      = "box"
message = "{{ flow.parameters.rows }} rows, {{ flow.started_at is none }}: {{ flow.log | join(' / ') }}"
"""

LOST = """
[[handler]]
name    = "lost"
when    = "state is lost"
to      = "box"
message = "{{ flow.name }} {{ old_state.name }} → {{ state.name }}: {{ state.message }}"
"""

PASSWORD = "admin:p%ss:w@rd/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with a password and protection against forged requests."""
    settings = {"PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}
    server = PrefectServer(environments.required("prefect3"), tmp_path_factory.mktemp("guarded"), settings, PASSWORD)
    server.start()
    yield server
    server.close()


def test_who_gives_the_wrong_password_is_told_and_goes_on_once_it_is_right(
    server, write, opened, sent, caplog, tmp_path
) -> None:
    folder = declared(write, server, DETAILED, auth="admin:wrong")
    gateway = opened(folder)
    gateway.follow()

    until(lambda: "cannot be read now" in caplog.text)
    file = folder / "gateway.toml"
    file.write_text(file.read_text().replace("admin:wrong", PASSWORD))
    until(lambda: is_following(gateway))
    server.run("failing")
    until(lambda: len(sent.messages) == 1)

    assert "refuses what 'auth' in [source.prefect] holds (401)" in str(
        [getattr(record, "error", "") for record in caplog.records]
    )
    assert "wrong" not in caplog.text and PASSWORD not in caplog.text
    (message,) = sent.messages
    assert message.body.startswith("17 rows, False: ")
    assert "reading 17 rows of globex" in message.body
    assert "ValueError: the table is gone" in message.body
    assert len(set(told(folder))) == len(told(folder)) == 3


def test_a_run_whose_process_is_gone_is_lost_and_told_once(server, write, opened, sent, tmp_path) -> None:
    folder = declared(write, server, LOST, auth=PASSWORD, lost_after="3s", overlap="2s")
    gateway = opened(folder)
    gateway.follow()
    until(lambda: is_following(gateway))

    heartbeats = server.heartbeats()
    flow = server.begin("hanging")
    until(lambda: len(told(folder)) == 2, 20)
    until(lambda: server.heartbeats() > heartbeats)  # one that never sent any cannot be told from one that sends none
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    until(lambda: len(sent.messages) == 1)
    gateway.close()
    again = opened(folder)
    again.follow()
    until(lambda: again.following() is not None and again.following().sweeps["ok"] > 0)
    time.sleep(4.0)  # as long as it takes to find the run silent, once more

    (message,) = sent.messages
    assert message.body.startswith("hanging Running → Lost: Running since ")
    assert len(set(told(folder))) == len(told(folder)) == 3
