"""The shape of the house: which module may import which, and that nothing goes in circles."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gateway"

# A line may import only what stands on a line above it, or itself.
LAYERS = [
    {"format"},
    {"states", "errors", "context", "spelling"},
    {"transition", "secrets", "periodic"},
    {"inprocess", "encoding"},
    {"handlers", "client"},
    {"flows", "config", "rules", "channels", "policy"},
    {"compile", "store"},
    {"delivery"},
    {"sources"},
    {"reload", "explain", "ops", "rounds", "heartbeat"},
    {"observe"},
    {"app"},
    {"prefect", "airflow", "dagster"},  # for the engines' own processes
    {"testing"},
    {"server"},
    {"cli"},
]
ALLOWED_SIDEWAYS = {("rules", "config.source")}
SHOP_WINDOW = {"__init__", "__main__"}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """The dotted names below ``gateway.`` that a module imports at run time, those inside functions included."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for statement in branch.body
        for node in ast.walk(statement)
    }
    names = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module] if node.module != "gateway" else [f"gateway.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    inside = [name.removeprefix("gateway.") for name in names if name.startswith("gateway.")]
    return [name for name in inside if not name.startswith("__")]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    own = part(path)
    if own in SHOP_WINDOW:
        return
    assert own in LEVEL, f"{own} has no line in the architecture"

    for name in imported(path):
        other = name.split(".")[0]
        allowed = other == own or LEVEL[other] < LEVEL[own] or (own, ".".join(name.split(".")[:2])) in ALLOWED_SIDEWAYS
        assert allowed, f"{path.name} may not import gateway.{name}"


def test_no_module_imports_itself_in_a_circle() -> None:
    dotted = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in modules()}
    graph = {name: {target for target in imported(path) if target in dotted} for name, path in dotted.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for target in graph[name]:
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_the_shop_window_lists_exactly_what_it_offers() -> None:
    gateway = importlib.import_module("gateway")

    assert gateway.__all__ == sorted(gateway.__all__)
    for name in gateway.__all__:
        assert getattr(gateway, name) is not None


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, gateway; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {"pydantic", "jinja2", "sqlalchemy", "apprise", "requests", "watchfiles", "typer"} & set(loaded)


def test_the_command_needs_nothing_that_only_extras_bring() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys('airflow dagster httpx psycopg re2 websockets'.split()))\n"
        "from gateway.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, "check", "--config", str(PACKAGE.parent / "config")]

    checked = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent)

    assert checked.returncode == 0, checked.stderr


def test_the_command_says_where_it_belongs_when_only_the_package_itself_is_installed() -> None:
    script = "import sys; sys.modules['typer'] = None\nfrom gateway.cli import main; main(['check'])"

    started = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent)

    assert started.returncode == 1
    assert started.stderr.startswith("error: typer is not installed. What was installed with --no-deps is enough")
