"""A hand-written state handler that posts to a web hook whose address is a secret."""

from __future__ import annotations

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway import Flow, Secret, Task, context


class Hook:
    """A web hook on the loopback interface; ``texts`` is what was posted to it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                hook.texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def hook():
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def post_when_finished(obj, old_state, new_state):
    if new_state.is_finished():
        body = json.dumps({"text": f"{obj} is now {new_state}"}).encode()
        urllib.request.urlopen(Secret("HOOK_ADDRESS").get(), body, timeout=10).close()
    return new_state


def test_a_handler_posts_the_end_of_a_task_to_the_address_it_finds_in_a_secret(hook):
    flow = Flow("post", tasks=[Task(state_handlers=[post_when_finished])])

    with context(secrets={"HOOK_ADDRESS": hook.url}):
        assert flow.run().is_successful()

    assert hook.texts == ['<Task: Task> is now Success("Task run succeeded.")']


def test_a_handler_whose_secret_is_missing_fails_its_task_and_the_error_names_it(monkeypatch):
    monkeypatch.delenv("HOOK_ADDRESS", raising=False)
    poster = Task(state_handlers=[post_when_finished])

    state = Flow("post", tasks=[poster]).run()

    assert state.is_failed()
    assert "the secret 'HOOK_ADDRESS' is not set" in state.result[poster].message


def test_a_handler_that_cannot_post_fails_its_task(hook):
    poster = Task(state_handlers=[post_when_finished], max_retries=3)

    with context(secrets={"HOOK_ADDRESS": "http://127.0.0.1:1/"}):
        state = Flow("post", tasks=[poster]).run()

    assert state.result[poster].message.startswith("Unexpected error while calling state handlers: URLError(")
    assert hook.texts == []
