"""The example beside Prefect 3, run as its page says, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import environments
from tests.integration.prefect3_server import PrefectServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "prefect"


def test_the_example_tells_of_a_flow_that_knows_nothing_of_it(tmp_path: Path) -> None:
    python = environments.required("prefect3")
    server = PrefectServer(python, tmp_path)
    server.start()
    try:
        said = told(server, python, tmp_path)
    finally:
        server.close()

    assert f"Following Prefect at {server.api}" in said
    assert "load is tried again" in said
    assert "orders failed" in said
    assert '{"customer": "globex"}' in said
    assert "ERROR Encountered exception during execution" in said


def told(server: PrefectServer, python: Path, folder: Path) -> str:
    """What the gateway prints while the flow of the example runs."""
    config = folder / "config"
    config.mkdir()
    written = (EXAMPLE / "config" / "gateway.toml").read_text()
    api = f'api = "{server.api}"\nsweep = "500ms"\n'
    written = written.replace('# api = "http://127.0.0.1:4200/api" unless said otherwise\n', api)
    (config / "gateway.toml").write_text(written + "\n[server]\nenabled = false\n")
    output = folder / "said.txt"
    with output.open("w") as said:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--config", str(config)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=said,
        )
    try:
        wait_for("Following Prefect", output)
        subprocess.run([python, EXAMPLE / "flow.py"], env=server.environment(), cwd=folder, check=True, timeout=40)
        wait_for("orders failed", output)
    finally:
        gateway.terminate()
        gateway.wait(20)
    return output.read_text()


def wait_for(text: str, output: Path) -> None:
    deadline = time.monotonic() + 30
    while text not in output.read_text():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
