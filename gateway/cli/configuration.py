"""Commands about the configuration itself: init, check, schema."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from gateway.app import store_problems
from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from gateway.cli.output import FINDINGS, USAGE, fail, number, print_json, print_problems, say
from gateway.compile import Compiled, Ruleset
from gateway.config.loader import Loaded, load
from gateway.config.schema import json_schema
from gateway.config.sources import read_sources
from gateway.explain import rehearse
from gateway.reload import Builder
from gateway.server import access_problems

SCHEMA = "gateway.schema.json"
"""The name by which the first line of a configuration file refers to its schema."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put config/ and templates/.")] = Path(),
) -> None:
    """Write a commented starting configuration.

    Its channels print to the terminal, so it works before any address or secret is there. No file
    that exists is overwritten.
    """
    written = copy_starter(folder)
    schema_file = folder / "config" / SCHEMA
    schema_file.write_text(json.dumps(json_schema(), indent=2) + "\n")
    for path in (*written, schema_file):
        say(f"wrote {path}")
    option = "" if folder == Path() else f" --config {folder / 'config'}"
    say(f"Next: gateway check{option}")


def copy_starter(folder: Path) -> list[Path]:
    """Copy the starting configuration into ``folder``, all of it or nothing; returns the files made."""
    origin = _starter()
    sources = [path for part in ("config", "templates") for path in sorted((origin / part).rglob("*.*"))]
    copies = {folder / source.relative_to(origin): source for source in sources if source.suffix in (".toml", ".j2")}
    existing = [str(target) for target in copies if target.exists()]
    if existing:
        fail(f"already there: {', '.join(existing)}; nothing was written")
    for target, source in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return list(copies)


def _starter() -> Path:
    """Where the starting configuration is: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("gateway")))
    installed = package / "starter"
    return installed if installed.is_dir() else package.parent


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not resolve secrets nor look at addresses.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration and tell all that is wrong with it.

    Each problem comes with file, line and column, what is wrong and what would be right. Expressions
    and templates are checked against what a transition has, templates are tried on samples, secrets
    are resolved and addresses looked at; nothing is sent. Exit code 1 if there are errors.
    """
    compiled = compile_config(config, connect=not offline)
    problems = [*compiled.problems, *(rehearse(compiled.ruleset) if compiled.ruleset else [])]
    problems += [] if offline else [*store_problems(compiled.loaded), *access_problems(compiled.loaded)]
    worst = {problem.severity for problem in problems}
    wrong = "error" in worst or (strict and "warning" in worst)
    if as_json:
        print_json({"ok": not wrong, "problems": problems})
    else:
        print_problems(problems)
        if compiled.ruleset is not None:
            say(f"{config}: {contents(compiled.ruleset)}", "" if wrong else "green")
    if wrong:
        raise typer.Exit(FINDINGS)


def contents(ruleset: Ruleset) -> str:
    """How many handlers and channels there are, in words."""
    declared = ruleset.config
    return f"{number(len(declared.handlers), 'handler')}, {number(len(declared.channels), 'channel')}"


def schema(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print the JSON Schema of the configuration, for editors.

    With a readable configuration, keys that name channels offer those it declares. Editors that
    know TOML schemas find it if it is kept as config/gateway.schema.json.
    """
    print_json(json_schema(load(read_sources(config)[0]).sound if config.exists() else None))


def compile_config(config: Path, *, connect: bool) -> Compiled:
    """Compile a configuration; a path that is not there is wrong usage."""
    require(config)
    return Builder(config, connect=connect).build()


def require(config: Path) -> None:
    """End the command if there is no such configuration."""
    if not config.exists():
        fail(f"there is no {config}; name a folder or file with --config, or make one with: gateway init", USAGE)


def load_config(config: Path, about: str = "") -> Loaded:
    """Load a configuration; ends the command on errors.

    ``about`` is the table that matters to the command: errors of others do not end it, as long as
    no file that cannot be parsed may hide it.
    """
    require(config)
    sources, unreadable = read_sources(config)
    loaded = load(sources)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    is_known = loaded.complete or loaded.declares(about)
    problems = [*unreadable, *(error for error in errors if error.key.startswith(about) or not is_known)]
    if problems:
        print_problems(problems)
        raise typer.Exit(FINDINGS)
    return loaded


def sound_ruleset(config: Path) -> Ruleset:
    """The configuration compiled without its channels, so that no secret is needed; ends the command on errors."""
    compiled = compile_config(config, connect=False)
    if compiled.ruleset is None:
        print_problems([problem for problem in compiled.problems if problem.severity == "error"])
        raise typer.Exit(FINDINGS)
    return compiled.ruleset
