"""What README and documentation show is run: Python, configurations, commands; and every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import context
from gateway.compile import compile_ruleset
from gateway.config import Sources, load
from gateway.sources.payload import parse_transition

ROOT = Path(__file__).parent.parent
EXAMPLES = (ROOT / "examples").rglob("README.md")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *EXAMPLES])
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
REFERENCE = re.compile(r"\{ *(?:env|file) *= *\"[^\"]*\" *\}")
SECRET = re.compile(r"secret\('(\w+)'\)")
TEMPLATE_NAME = re.compile(r"\{# templates/(\S+\.j2)\b")
SOME_ADDRESS = '"json://127.0.0.1/hook"'


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its page, the line its text begins on, what stands behind the fence, its text."""

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*infos: str) -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page) if block.info in infos]


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start("text")) + 1, found["info"].strip(), found["text"])


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the starting configuration, as ``gateway init`` makes it."""
    for part in ("config", "templates"):
        shutil.copytree(ROOT / part, tmp_path / part)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    """Enough to run the package from anywhere, and the command ``gateway`` as it is in this checkout."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    command = commands / "gateway"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    command.chmod(0o755)
    return {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(folder), "TERM": "dumb"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )


# Python


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}), ids=relative)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, folder: Path) -> None:
    """As one script, in which every line has the number it has on the page."""
    lines: list[str] = []
    for block in blocks_of(page):
        if block.info == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    script = folder / f"{page.stem}.py"
    script.write_text("\n".join(lines) + "\n")

    done = run([sys.executable, "-W", "error", str(script)], folder)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("block", blocks("python prefect1", "python prefect3", "python dagster"), ids=str)
def test_python_for_other_engines_is_at_least_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


# configurations


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_configuration_compiles(block: Block, tmp_path: Path) -> None:
    """By the real loader and compiler; channels and templates it only names are supplied."""
    text = REFERENCE.sub(SOME_ADDRESS, block.text)
    files = {"config/page.toml": text, "config/prelude.toml": prelude(tomllib.loads(text))}
    sources = Sources(str(tmp_path / "config"), files, templates(), str(tmp_path / "templates"))

    with context(secrets=dict.fromkeys(SECRET.findall(text), "a/secret@of:mine")):
        compiled = compile_ruleset(load(sources))

    assert [str(problem) for problem in compiled.problems if problem.severity == "error"] == []
    assert compiled.ruleset is not None
    for destination in compiled.ruleset.destinations.values():
        destination.channel.close()


def prelude(written: dict[str, Any]) -> str:
    """Channels that are named and not declared."""
    channels: dict[str, Any] = written.get("channel", {})
    named: list[str] = as_list(written.get("gateway", {}).get("ops", []))
    for table in [*written.get("handler", []), *channels.values()]:
        for key in ("to", "all", "fallback"):
            named += as_list(table.get(key, []))
    missing = [name for name in dict.fromkeys(named) if name not in channels]
    return "".join(f'[channel."{name}"]\nurl = "console://"\n' for name in missing)


def as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def templates() -> dict[str, str]:
    """The starting templates, and those that pages show."""
    starting = {path.name: path.read_text() for path in (ROOT / "templates").glob("*.j2")}
    shown = {found[1]: block.text for block in blocks("jinja") if (found := TEMPLATE_NAME.match(block.text))}
    return starting | shown


@pytest.mark.parametrize("block", blocks("jinja"), ids=str)
def test_a_template_says_which_file_it_is_and_some_handler_uses_it(block: Block) -> None:
    found = TEMPLATE_NAME.match(block.text)

    assert found is not None, "begin it with {# templates/NAME.j2 #}"
    assert any(f'"{found[1]}"' in other.text for other in blocks("toml"))


def test_json_is_json_and_events_can_be_understood() -> None:
    for block in blocks("json"):
        if "new_state" in json.loads(block.text):
            assert parse_transition(block.text).state.type, block


# commands

LONG_RUNNING = re.compile(r"^\$ (?:gateway (?:--?[\w-]+ \w+ )*(?:run|demo)\b|python3? -m venv|\.venv/)", re.MULTILINE)


ELSEWHERE = {"cli.md", "http.md"}
"""Their commands are run, and what they print compared, in ``test_cli_page.py`` and ``test_http_page.py``."""


def commands_to_run() -> list[Block]:
    found = [block for block in blocks("console") if block.page.name not in ELSEWHERE]
    return [block for block in found if not LONG_RUNNING.search(block.text)]


@pytest.mark.parametrize("block", commands_to_run(), ids=str)
def test_the_commands_of_a_page_end_as_they_should(block: Block, folder: Path) -> None:
    """A command ends with 0, or with what a line ``$ echo $?`` below it prints."""
    events(folder)
    script = textwrap.dedent(
        """
        expect() { [ "$1" = "$2" ] || { echo "ended with $1, not $2: $3" >&2; exit 99; }; }
        """
    )
    for command, code in commands(block.text):
        script += f"{command}\nexpect $? {code} {shlex.quote(command)}\n"

    done = run(["bash", "-c", script], folder)

    assert done.returncode == 0, done.stderr + done.stdout


def commands(text: str) -> Iterator[tuple[str, int]]:
    """Each command of a block with the exit code the block shows."""
    found = re.findall(r"^\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    for (command, _), (following, printed) in zip(found, [*found[1:], ("", "")], strict=True):
        if command != "echo $?":
            code = int(printed) if following == "echo $?" else 0
            yield command.replace("\n> ", "\n"), code


EVENT = {
    "obj": {"kind": "task", "name": "load", "run_id": "run-1", "tags": ["prod"], "flow": {"name": "etl"}},
    "old_state": {"type": "Running"},
    "new_state": {"type": "Failed", "message": "no route to host", "run_count": 3, "final": True},
}

SOME_DELIVERIES = """
from gateway import Gateway, Task, states
with Gateway("config/", watch=False) as gateway:
    gateway(Task(name="load"), states.Running(), states.Failed("no route to host", final=True))
"""


def events(folder: Path) -> None:
    """What commands ask for: a file with an event, and a store with deliveries."""
    (folder / "event.json").write_text(json.dumps(EVENT))
    done = run([sys.executable, "-c", SOME_DELIVERIES], folder)
    assert done.returncode == 0, done.stderr


# links


def links() -> list[tuple[Path, str]]:
    found = [(page, link["target"]) for page in PAGES for link in LINK.finditer(FENCE.sub("", page.read_text()))]
    return [(page, target) for page, target in found if "://" not in target and not target.startswith("mailto:")]


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_a_link_leads_to_a_page_and_a_heading_that_exist(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page

    assert linked.exists()
    if anchor:
        assert anchor in anchors(linked)


def anchors(page: Path) -> set[str]:
    """The names under which GitHub offers a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_nobody_is_told_to_install_what_an_index_has_under_this_name() -> None:
    texts = [*PAGES, *(ROOT / "gateway").rglob("*.py"), *(ROOT / "examples").rglob("*.*")]
    by_name = re.compile(r"pip install[^\n`]*[\s'\"]gateway(\[|['\"\s`]|$)", re.MULTILINE)

    assert [path for path in texts if path.is_file() and by_name.search(path.read_text(errors="ignore"))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            ahead += [(one.parent / target.partition("#")[0]).resolve() for one, target in links() if one == page]

    assert set(PAGES) <= reached


def test_the_pages_show_something_of_every_kind() -> None:
    for info in ("python", "toml", "jinja", "console"):
        assert blocks(info), info
