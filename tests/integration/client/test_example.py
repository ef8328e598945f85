"""The example of the page about any Python process, as somebody runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.packaged import ROOT
from tests.sidecar import Sidecar

SCRIPT = ROOT / "examples" / "python" / "nightly.py"


def test_the_example_tells_of_what_goes_wrong(tmp_path: Path) -> None:
    with Sidecar(tmp_path / "sidecar") as sidecar:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GATEWAY_URL": sidecar.url}
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30
        )

        assert done.returncode == 1, done.stderr
        told = [(one.obj.name, one.state.type) for one in sidecar.taken()]
        assert told == [
            ("nightly", "Running"),
            ("extract", "Running"),
            ("extract", "Success"),
            ("check", "Running"),
            ("check", "Failed"),
            ("nightly", "Failed"),
        ]
        (failed,) = [one for one in sidecar.taken() if one.obj.name == "check" and one.state.type == "Failed"]
        assert failed.state.result["message"] == "1 amounts are negative: [-5]"
        assert failed.obj.tags == ("prod",)
