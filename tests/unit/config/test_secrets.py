from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.secrets import files_of, resolve_url
from gateway.config.url import EnvReference, FileReference, parse_url
from gateway.errors import SecretError


def test_secrets_inside_an_address_are_percent_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_USER", "ana@example.org")
    monkeypatch.setenv("MAIL_PASS", "p/w d%?")
    url = parse_url("mailto://{{ secret('MAIL_USER') }}:{{ secret('MAIL_PASS') }}@host")

    assert resolve_url(url, tmp_path) == "mailto://ana%40example.org:p%2Fw%20d%25%3F@host"


def test_a_secret_that_is_the_whole_address_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "json://127.0.0.1/x?a=b%20c\n")

    assert resolve_url(parse_url("{{ secret('HOOK') }}"), tmp_path) == "json://127.0.0.1/x?a=b%20c"
    assert resolve_url(EnvReference("HOOK"), tmp_path) == "json://127.0.0.1/x?a=b%20c"


@pytest.mark.parametrize("path", ["hook", "absolute"])
def test_an_address_is_read_from_a_file_beside_the_configuration(tmp_path: Path, path: str) -> None:
    (tmp_path / "hook").write_bytes(b"\xef\xbb\xbfjson://127.0.0.1/x\r\n")
    named = "hook" if path == "hook" else str(tmp_path / "hook")

    assert resolve_url(FileReference(named), tmp_path) == "json://127.0.0.1/x"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"env": "GATEWAY_TEST_UNSET"}, "the environment variable 'GATEWAY_TEST_UNSET' is not set"),
        ({"env": "GATEWAY_TEST_EMPTY"}, "the environment variable 'GATEWAY_TEST_EMPTY' is empty"),
        ({"env": "GATEWAY_TEST_LINES"}, "the environment variable 'GATEWAY_TEST_LINES' holds more than one line"),
        ({"file": "missing"}, "cannot be read: No such file or directory"),
        ({"file": "."}, "is not a regular file"),
        ({"file": "empty"}, "the file 'empty' is empty"),
        ({"file": "large"}, "is too large for an address"),
        ({"file": "binary"}, "is not UTF-8"),
        ("json://{{ secret('GATEWAY_TEST_UNSET') }}@127.0.0.1", "GATEWAY_TEST_UNSET"),
    ],
)
def test_what_is_missing_is_named_and_no_value_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, reason: str
) -> None:
    monkeypatch.delenv("GATEWAY_TEST_UNSET", raising=False)
    monkeypatch.setenv("GATEWAY_TEST_EMPTY", " ")
    monkeypatch.setenv("GATEWAY_TEST_LINES", "hunter2\nhunter2")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("hunter2" * 20_000)
    (tmp_path / "binary").write_bytes(b"hunter2\xff")

    with pytest.raises(SecretError) as caught:
        resolve_url(parse_url(value), tmp_path)

    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_files_behind_an_address_are_known_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path / "secrets"))

    assert files_of(parse_url({"file": "hook"}), tmp_path) == [tmp_path / "hook"]
    assert files_of(parse_url("x://{{ secret('A') }}"), tmp_path) == [tmp_path / "secrets" / "A"]
    assert files_of(parse_url({"env": "HOOK"}), tmp_path) == []
