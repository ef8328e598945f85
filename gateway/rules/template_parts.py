"""The parts of a message template, title and message: where each is written, parsed.

A part is written under its own key, or in a block of that name in a template file; a file
without blocks is all message. A part that nobody wrote has a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from jinja2 import nodes

from gateway.errors import LanguageError, TemplateError
from gateway.rules.standalone import TemplateEnvironment
from gateway.rules.syntax import error_at, parse_template
from gateway.transition import Kind

Part = Literal["title", "message"]
Place = Literal["title", "message", "file"]
"""Where something is written: under the key of that name, or in the template file."""

MAX_SOURCE = 16_384

DEFAULTS: Mapping[Part, str] = {
    "title": "{{ obj.name or obj.kind }}: {{ state.name }}",
    "message": """\
{{ obj.kind | capitalize }} {{ obj.name | code }}
{%- if obj.kind == "task" and flow.name %} of flow {{ flow.name | code }}{% endif %}
{%- if old_state %} went from {{ old_state.name }} to {{ state.name }}{% else %} is {{ state.name }}{% endif %}
{%- if state.message %}: {{ state.message | truncate(1000) }}{% else %}.{% endif %}
{%- if obj.url or flow.url %} ({{ "see the run" | link(obj.url or flow.url) }}){% endif %}
""",
}

_ENVIRONMENT = TemplateEnvironment()


@dataclass(frozen=True, slots=True)
class Source:
    """What a template is made of; equal sources make equal templates."""

    title: str | None = None
    message: str | None = None
    file: str | None = None
    on: Kind | None = None
    handler: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """The statements of a part, and where they are written."""

    place: Place
    statements: list[nodes.Node]


def bodies(source: Source, problems: list[TemplateError]) -> dict[Part, Body]:
    """The bodies of both parts; what is wrong with how they are written goes to ``problems``."""
    found = _file_bodies(source.file, problems)
    keys: dict[Part, str | None] = {"title": source.title, "message": source.message}
    for part, text in keys.items():
        if text is None:
            found.setdefault(part, Body(part, _default(part)))
        elif part in found:
            problems.append(TemplateError(f"the {part} is written twice: here and in the template file", part=part))
        else:
            found[part] = Body(part, _parsed(text, part, problems))
    return found


def in_place(problem: LanguageError, place: Place) -> TemplateError:
    """The same problem, with where it is."""
    return TemplateError(problem.message, problem.line, problem.column, problem.hint, part=place)


def _file_bodies(text: str | None, problems: list[TemplateError]) -> dict[Part, Body]:
    """The parts a template file holds."""
    if text is None:
        return {}
    statements = _parsed(text, "file", problems)
    blocks = [node for node in statements if isinstance(node, nodes.Block)]
    if not blocks:
        return {"message": Body("file", statements)}
    found: dict[Part, Body] = {}
    wrong = [problem for node in statements if (problem := _outside_problem(node)) is not None]
    for block in blocks:
        if block.name not in DEFAULTS:
            wrong.append(error_at(block, f"a template has no block {block.name!r}", block.name, DEFAULTS))
        elif block.name in found:
            wrong.append(error_at(block, f"the block {block.name!r} is written twice"))
        else:
            found[_part(block)] = Body("file", block.body)
    problems += [in_place(problem, "file") for problem in wrong]
    return found


def _part(block: nodes.Block) -> Part:
    return "title" if block.name == "title" else "message"


def _outside_problem(node: nodes.Node) -> LanguageError | None:
    """What is wrong with a statement beside the blocks: anything but blanks would be lost."""
    if isinstance(node, nodes.Block):
        return None
    inside = node.nodes if isinstance(node, nodes.Output) else [node]
    lost = next((each for each in inside if not _is_blank(each)), None)
    if lost is None:
        return None
    problem = error_at(lost, "this stands outside the blocks and would be lost; move it into one")
    if isinstance(lost, nodes.TemplateData):
        problem = _moved_to_text(problem, lost.data)
    return problem


def _moved_to_text(problem: LanguageError, text: str) -> LanguageError:
    """The problem at the first character of ``text`` that is not blank, rather than at its start."""
    blank = text[: len(text) - len(text.lstrip())]
    newlines = blank.count("\n")
    column = len(blank) - blank.rfind("\n") if newlines else problem.column + len(blank)
    return LanguageError(problem.message, problem.line + newlines, column)


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.TemplateData) and not node.data.strip()


def _parsed(text: str, place: Place, problems: list[TemplateError]) -> list[nodes.Node]:
    """The statements of a source; none where it cannot be parsed."""
    if len(text) > MAX_SOURCE:
        problems.append(TemplateError(f"longer than {MAX_SOURCE:,} characters", part=place))
        return []
    if "{" not in text:
        return [nodes.Output([nodes.TemplateData(text, lineno=1)], lineno=1)]
    try:
        return parse_template(_ENVIRONMENT, text.replace("\r\n", "\n")).body
    except LanguageError as problem:
        problems.append(in_place(problem, place))
        return []


@cache
def _default(part: Part) -> list[nodes.Node]:
    return parse_template(_ENVIRONMENT, DEFAULTS[part]).body
