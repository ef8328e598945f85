from __future__ import annotations

from typing import Any

import pytest

from gateway.config.url import EnvReference, FileReference, Url, UrlError, UrlText, parse_url


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("console://", UrlText("console://", ("console://",))),
        ({"env": "HOOK"}, EnvReference("HOOK")),
        ({"file": "/run/secrets/hook"}, FileReference("/run/secrets/hook")),
        ("{{ secret('HOOK') }}", UrlText("{{ secret('HOOK') }}", ("", "HOOK", ""))),
        (
            """mailto://{{secret("USER")}}:{{ secret( 'PASS.1' ) }}@host""",
            UrlText(
                """mailto://{{secret("USER")}}:{{ secret( 'PASS.1' ) }}@host""",
                ("mailto://", "USER", ":", "PASS.1", "@host"),
            ),
        ),
    ],
)
def test_an_address_is_a_text_or_a_reference(value: Any, url: Url) -> None:
    assert parse_url(value) == url


@pytest.mark.parametrize(
    ("value", "offset"),
    [
        ("mailto://{{ secrt('A') }}@host", 9),
        ("mailto://{{ secret(A) }}@host", 9),
        ("mailto://{{ secret('A') | upper }}@host", 9),
        ("mailto://{{ secret('A') }}@{% if %}", 27),
        ("mailto://{{ secret('../A') }}@host", 9),
        ("mailto://{{ secret('') }}@host", 9),
    ],
)
def test_braces_hold_nothing_but_secrets(value: str, offset: int) -> None:
    with pytest.raises(UrlError) as caught:
        parse_url(value)

    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "value", ["", "  ", 3, True, [], {}, {"env": 3}, {"env": "A", "file": "b"}, {"evn": "A"}, {"env": ""}, {"file": ""}]
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(UrlError):
        parse_url(value)


def test_the_text_of_an_address_is_not_shown() -> None:
    assert "hunter2" not in repr(parse_url("slack://hunter2"))
