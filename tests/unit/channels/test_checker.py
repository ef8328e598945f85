"""What is wrong with a channel's URL, said at load."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.channels import build, check_url
from gateway.channels.services import DENIED, FAMILIAR
from gateway.errors import ChannelError

GOOD = [
    "console://",
    "record://ci?fail=1",
    "json://localhost:8080/path?+X-Team=data&method=PUT",
    "jsons://user:pass@example.com",
    "xml://example.com/hook",
    "form://example.com/hook?-extra=1&:rename=me",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?format=markdown",
    "mailto://me:secret@mail.example.com?from=me@example.com&to=ana@example.com&mode=starttls",
    "mailtos://me:secret@gmail.com",
    "ntfy://topic",
    "mqtt://localhost/alerts?qos=1",
    "tgram://123456789:AAE_secretSecretSecretSecretSecretSe/12345",
    "gotify://localhost/token?priority=high",
    "JSON://example.com",
    "  json://example.com  ",
]

SECRET = "Zq9secretZq9"

BAD = [
    ("", "does not begin with a scheme"),
    ("ops@example.com", "does not begin with a scheme"),
    ("slak://a/b/c", "did you mean slack://"),
    ("zzzqqq://a", "unknown scheme zzzqqq://"),
    ("https://example.com/hook", "json://"),
    ("https://[::1", "json://"),
    (f"smpp://user:{SECRET}@h:1/1/2", "needs smpplib"),
    (f"slack://T1JJ3T3L2/{SECRET}!", "cannot be read|nvalid"),
    (f"tgram://{SECRET}/12345", "cannot be read|nvalid"),
    (f"json://h/{SECRET}?methd=PUT", "'methd'; did you mean 'method'"),
    (f"json://h/?password=abc&{SECRET}", "unknown parameter number 2"),
    (f"mailto://me:{SECRET}@example.com?to=a@example.com&mod=ssl", "did you mean 'mode'"),
    ("json://h?retry=3", "key `retry`"),
    ("json://h?wait=3", "key `retry`"),
    ("json://h?overflow=split", "key `overflow`"),
    ("json://h?tag=a", "no meaning"),
    ("ntfy://", "names no target"),
    ("mqtt://h/", "names no target"),
    (f"tgram://123456789:{SECRET}secretSecretSecretSecretSe/", "names no target"),
    (f"mailto://me:{SECRET}@example.com?to=a@example.com,b@example.com", "names 2 targets"),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#a/#b/#c", "names 3 targets"),
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?template=/etc/passwd", "read a file"),
    ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template=http://h/x", "read a file"),
    ("mailto://me:pass@example.com?pgp=encrypt", "reads? files or keys|read files or keys"),
    ("mailto://me:pass@example.com?pgppub=/etc/passwd", "read files or keys"),
    ("fcm://project@apikey/device?keyfile=/etc/passwd", "needs cryptography|read files or keys"),
    ("json://h?rto=soon", "read timeout"),
    ("ntfy://topic?format=prose", "format"),
    ("mailto://me:pass@example.com?mode=psychic", "nvalid|mode"),
    ("json://", "cannot be read as a URL of JSON; it looks like json://"),
    ("json://[", "cannot be read"),
]


@pytest.mark.parametrize("url", GOOD)
def test_a_good_url_has_nothing_wrong(url: str) -> None:
    assert check_url(url) == []


@pytest.mark.parametrize(("url", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ChannelError, match=reason) as refused:
        build("ops", url)

    assert SECRET not in str(refused.value)
    assert not any(part in str(refused.value) for part in url.split("://")[-1].split("/") if len(part) > 12)


@pytest.mark.parametrize("scheme", sorted(DENIED))
def test_services_of_this_machine_are_refused(scheme: str) -> None:
    assert f"{scheme}:// is not allowed" in check_url(f"{scheme}://localhost/x")[0]


@pytest.mark.parametrize("scheme", sorted(FAMILIAR))
@pytest.mark.parametrize("rest", ["", "x", f"{SECRET}", f"{SECRET}/a b/{SECRET}?to={SECRET}", f"u:{SECRET}@h/{SECRET}"])
def test_no_reason_shows_a_secret(scheme: str, rest: str) -> None:
    assert SECRET not in "; ".join(check_url(f"{scheme}://{rest}"))


def test_all_misspelt_parameters_are_reported_together() -> None:
    assert len(check_url("json://h?methd=PUT&verfy=no&retry=2")) == 3


@settings(deadline=None)  # the first address imports apprise
@given(
    st.text(max_size=60), st.sampled_from(["", "json://", "slack://", "mailto://", "https://", "record://", "ntfy://"])
)
def test_no_text_whatever_makes_the_checker_fail(text: str, scheme: str) -> None:
    assert isinstance(check_url(scheme + text), list)
