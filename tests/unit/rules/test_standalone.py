"""Lines that hold only tags leave nothing behind; all others stay as they are written."""

from __future__ import annotations

import pytest

from gateway.rules.standalone import TemplateEnvironment


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if x %}\na\n{% endif %}\nb", "a\nb"),
        ("  {% if x %}  \na\n  {% endif %}\nb", "a\nb"),
        ("a{% if x %} b{% endif %}\nc", "a b\nc"),
        ("{% if x %}a{% endif %}\nc", "a\nc"),
        ("{# note #}\na {# note #}\nb", "a \nb"),
        ("{% if x %}{% set y = 1 %}\na{% endif %}\n", "a\n"),
        ("{% for y in [1, 2] %}\n- {{ y }}\n{% endfor %}\nend", "- 1\n- 2\nend"),
        ("{{ x }}\n{{ x }}\n", "1\n1\n"),
        ("{{ x }}{% if x %}\nb{% endif %}", "1\nb"),
        ("a\n\n{% if x %}\n\nb\n{% endif %}", "a\n\n\nb\n"),
        ("{% if x -%}\n  a\n{%- endif %}\nb", "a\nb"),
        ("{% raw %}\n{{ x }}\n{% endraw %}\nb", "{{ x }}\nb"),
        ("{% if x %}\n{% endif %}", ""),
    ],
)
def test_which_newlines_stay(source: str, expected: str) -> None:
    environment = TemplateEnvironment()
    environment.keep_trailing_newline = True

    assert environment.from_string(source).render(x=1) == expected
