from __future__ import annotations

import traceback

import pytest

from gateway import Secret, SecretError, context, secrets
from gateway.secrets import MAX_BYTES, read_secret, resolve_secret, secrets_directory

NAME = "SLACK_HOOK"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv(NAME, raising=False)
    return tmp_path


def test_the_run_context_comes_before_the_environment_and_the_environment_before_the_file(directory, monkeypatch):
    (directory / NAME).write_text("from file")
    assert Secret(NAME).get() == "from file"

    monkeypatch.setenv(NAME, "from environment")
    assert Secret(NAME).get() == "from environment"

    with context(secrets={NAME: "from context"}):
        assert Secret(NAME).get() == "from context"


def test_a_name_the_context_does_not_hold_is_looked_for_elsewhere(monkeypatch):
    monkeypatch.setenv(NAME, "from environment")

    with context(secrets={"OTHER": "x"}):
        assert read_secret(NAME) == "from environment"


def test_an_empty_value_counts_as_none(directory, monkeypatch):
    (directory / NAME).write_text("from file")
    monkeypatch.setenv(NAME, "")

    with context(secrets={NAME: ""}):
        assert Secret(NAME).get() == "from file"


@pytest.mark.parametrize("text", ["42", "true", "null", '"42"', '{"a": 1}', " padded ", "a\nb", "größe"])
def test_the_value_is_the_text_as_it_is(text, directory, monkeypatch):
    (directory / NAME).write_text(text, encoding="utf-8", newline="")
    assert Secret(NAME).get() == text

    monkeypatch.setenv(NAME, text)
    assert Secret(NAME).get() == text


@pytest.mark.parametrize(
    ("content", "value"), [(b"abc\n", "abc"), (b"abc\r\n", "abc"), (b"abc\n\n", "abc\n"), (b"\nabc", "\nabc")]
)
def test_one_newline_at_the_end_of_a_file_is_not_part_of_it(content, value, directory):
    (directory / NAME).write_bytes(content)

    assert Secret(NAME).get() == value


def test_a_file_may_be_a_link_as_those_of_container_platforms_are(directory):
    (directory / "..data").mkdir()
    (directory / "..data" / "db.password").write_text("pw")
    (directory / "db.password").symlink_to(directory / "..data" / "db.password")

    assert Secret("db.password").get() == "pw"


def test_a_missing_secret_is_told_with_the_three_places_looked_at(directory):
    with pytest.raises(SecretError) as raised:
        Secret(NAME).get()

    assert str(raised.value) == (
        f"the secret 'SLACK_HOOK' is not set: looked in the run context's secrets, "
        f"the environment variable SLACK_HOOK and the file {directory}/SLACK_HOOK"
    )


def test_the_directory_is_run_secrets_unless_told(directory, monkeypatch):
    assert secrets_directory() == directory

    monkeypatch.delenv("GATEWAY_SECRETS_DIR")
    assert secrets_directory() == secrets.DEFAULT_DIRECTORY


@pytest.mark.parametrize(
    "name", ["", "../hook", "a/b", "/etc/passwd", "..", ".hidden", "a\0b", "a b", "naïve", "x" * 201, "HOOK\n", None, 7]
)
def test_a_name_that_could_leave_the_directory_is_refused(name, directory):
    (directory.parent / "hook").write_text("outside")

    with pytest.raises(SecretError, match="not the name of a secret"):
        Secret(name).get()


def test_a_value_given_for_a_name_is_not_shown():
    with pytest.raises(SecretError) as raised:
        Secret("https://hooks.example/s3cr3t").get()

    assert "s3cr3t" not in str(raised.value)


def test_the_text_of_a_secret_is_its_name(monkeypatch):
    monkeypatch.setenv(NAME, "s3cr3t")
    secret = Secret(NAME)
    secret.get()

    assert repr(secret) == str(secret) == "Secret(name='SLACK_HOOK')"
    assert secret == Secret(NAME)


def unreadable(directory):
    (directory / NAME).write_bytes(b"s3cr3t \xff\xfe")


def oversized(directory):
    (directory / NAME).write_text("s3cr3t" * MAX_BYTES)


@pytest.mark.parametrize(("make", "reason"), [(unreadable, "not UTF-8"), (oversized, "longer than 65536 bytes")])
def test_a_file_that_cannot_be_a_secret_is_an_error_that_holds_nothing_of_it(make, reason, directory):
    make(directory)

    with pytest.raises(SecretError, match=reason) as raised:
        Secret(NAME).get()

    assert NAME in str(raised.value)
    assert raised.value.__context__ is None
    assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))


def test_a_path_that_cannot_be_looked_at_is_an_error_with_the_reason(directory):
    (directory / "file").write_text("x")
    long_directory = directory / ("x" * 300)

    with pytest.raises(SecretError, match=r"cannot be read from .*: File name too long"):
        resolve_secret(NAME, {}, {}, long_directory)


def test_a_directory_in_place_of_the_file_is_no_secret(directory):
    (directory / NAME).mkdir()

    with pytest.raises(SecretError, match="is not set"):
        Secret(NAME).get()


def test_a_value_that_is_no_text_is_refused_by_its_type():
    with context(secrets={NAME: 4711}), pytest.raises(SecretError, match="of type int; secrets are text") as raised:
        Secret(NAME).get()

    assert "4711" not in str(raised.value)
