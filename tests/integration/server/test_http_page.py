"""docs/http.md shows what the server really answers: its commands are run against one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "http.md").read_text()
ADDRESS = "127.0.0.1:8787"
KEY = "the-key-of-this-page"
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def script_of(block: str) -> str:
    """The commands of a block, without what they print."""
    commands = re.findall(r"^\$ (.*(?:\n> .*)*)", block, re.MULTILINE)
    return "\n".join(command.replace("\n> ", "\n") for command in commands)


def shown_by(block: str) -> str:
    """What the commands of a block print."""
    return re.sub(r"^[$>] .*\n", "", block, flags=re.MULTILINE)


def pattern(shown: str) -> str:
    """``…`` stands for anything in a line."""
    return re.escape(shown).replace("…", "[^\n]*")


@pytest.mark.skipif(not shutil.which("curl") and "CI" not in os.environ, reason="there is no curl here")
def test_the_commands_of_the_page_print_what_it_shows(serve, until, tmp_path) -> None:
    """One after the other, against the starting configuration; with a key for signatures where one is used."""
    handlers, channels = ((ROOT / "config" / f"{name}.toml").read_text() for name in ("handlers", "channels"))
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    plain = serve(handlers=handlers, channels=channels)
    signed = serve(f'signature = "{KEY}"\n', handlers=handlers, channels=channels)
    assert len(BLOCKS) > 5
    for block in BLOCKS:
        serving = signed if "webhook-signature" in block else plain
        script = script_of(block).replace(ADDRESS, httpx.URL(serving.server.url).netloc.decode())
        before = f"KEY={KEY} delivery={newest(serving)}\n"
        answered = subprocess.run(["bash", "-euc", before + script], capture_output=True, text=True, timeout=30)

        assert answered.returncode == 0, f"{script}\n{answered.stderr}"
        assert re.fullmatch(pattern(shown_by(block)), answered.stdout), f"{block}\nprinted\n{answered.stdout}"
        until(lambda store=serving.gateway.store: store.owed() == 0)


def newest(serving) -> int:
    return max((one.id for one in serving.gateway.store.deliveries(limit=1)), default=0)
