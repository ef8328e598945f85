"""A slip of the finger in a template is found at load, at its line; and right templates pass."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from jinja2 import Environment

from gateway.errors import TemplateError
from gateway.rules.samples import sample_transitions
from gateway.rules.template import compile_template

GOOD = {
    "one line": "{{ task.name }} of {{ flow.name }} is {{ state.name }}",
    "retrying": "{{ task.name }} will be retried {{ state.start_time | relative }}, attempt {{ state.run_count }}.",
    "branches": """\
{% if state is failed %}
{{ obj.name }} failed: {{ state.message | truncate(200) }}
{% elif state is retrying or state is queued %}
{{ obj.name }} waits until {{ state.start_time | localtime("Europe/Paris") | datetimeformat("%H:%M") }}
{% else %}
{{ obj.name }} is {{ state.type | lower }}
{% endif %}
""",
    "a loop": """\
{{ flow.name | title }} ({{ obj.tags | length }} tag{{ obj.tags | length | plural }})
{% for tag in obj.tags if tag != "internal" %}
{{ loop.index }}. {{ tag | upper }}{% if not loop.last %},{% endif %}

{% endfor %}
""",
    "labels": """\
{% for key, value in obj.labels | dictsort %}
{{ key }}: {{ value }}
{% endfor %}
team {{ obj.labels.team | default("unknown") }}, day {{ obj.parameters.day }}
""",
    "old and new": """\
{% set before = old_state.name if old_state else "unknown" %}
{% set took = state.timestamp - event.occurred_at %}
{{ obj.run_id }}: {{ before }} to {{ new_state.name }} in {{ took | duration }}
{% if old_state.is_running() and state.is_failed() and state is final %}It will not be retried.{% endif %}
""",
    "links": """\
{{ "See the run" | link(obj.url or flow.url) }} in {{ task.flow.name | code }}
{{ state.message | codeblock }}
told by {{ handler }} at {{ event.occurred_at | datetimeformat("%Y-%m-%d %H:%M") }} ({{ event.source }})
""",
    "result": """\
{% if state.result.flag is defined %}flag: {{ state.result.flag }}{% endif %}
{% if state.result.rows %}{{ state.result.rows | map(attribute="name") | join(", ") }}{% endif %}
{{ state.result | tojson | truncate(500, true) }}
""",
    "sums": """\
{% set left = task.max_retries - state.run_count %}
{{ "no" if left <= 0 else left }} {{ "retry" if left == 1 else "retries" }} left of {{ task.max_retries }}
{{ state.message.startswith("Timeout") }} {{ "prod" in flow.tags }} {{ state.type in ["Failed", "TimedOut"] }}
""",
}
LETTERS = "abcdefghijklmnopqrstuvwxyz_"
KEYWORDS = {"if", "elif", "else", "endif", "for", "in", "endfor", "set", "is", "not", "and", "or"}
UNTYPED = {"flag", "rows", "team", "day", "true"}


@dataclass(frozen=True)
class Typo:
    source: str
    line: int
    kind: str


@pytest.mark.parametrize("name", GOOD)
def test_right_templates_pass_and_do_for_samples(name: str) -> None:
    template = compile_template(message=GOOD[name], on="task", handler="h")

    assert template.dry_run(sample_transitions("task")) == []


def typos(source: str, chance: random.Random, each: int = 5) -> list[Typo]:
    """The template with one word of it changed by one edit, many times."""
    found, at, defining = [], 0, False
    for line, token, text in Environment().lexer.tokeniter(source, None):
        at = source.index(text, at)
        defining = text in ("set", "for") or (defining and text not in ("=", "in"))
        if token == "name":
            kind = "keyword" if text in KEYWORDS else "untyped" if text in UNTYPED else "new" if defining else "name"
            found += [
                Typo(source[:at] + edited(text, chance) + source[at + len(text) :], line, kind) for _ in range(each)
            ]
        at += len(text)
    return found


def edited(word: str, chance: random.Random) -> str:
    """``word`` with a letter dropped, doubled, swapped with its neighbour or replaced."""
    while True:
        at, letter = chance.randrange(len(word)), chance.choice(LETTERS)
        swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
        choices = [
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            swapped,
            word[:at] + letter + word[at + 1 :],
        ]
        changed = chance.choice(choices)
        if changed.isidentifier() and changed != word:
            return changed


def line_of_problem(source: str) -> int | None:
    try:
        compile_template(message=source, on="task", handler="h")
    except TemplateError as error:
        return error.line
    return None


def test_nearly_every_typo_is_found_at_load() -> None:
    chance = random.Random(20260329)
    tried, caught, placed = Counter[str](), Counter[str](), Counter[str]()
    for typo in [typo for source in GOOD.values() for typo in typos(source, chance)]:
        line = line_of_problem(typo.source)
        tried[typo.kind] += 1
        caught[typo.kind] += line is not None
        placed[typo.kind] += line == typo.line

    assert tried.total() > 500
    assert caught.total() / tried.total() >= 0.96, (tried, caught)
    assert caught["name"] / tried["name"] >= 0.995, (tried, caught)
    assert placed["name"] == caught["name"]  # a slip in a "new" name shows where that name is used
