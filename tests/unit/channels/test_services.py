"""Which plugin serves a scheme, and how many sends at a time it stands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.channels.concurrency import WIDTH, changes_itself, width
from gateway.channels.services import DENIED, FAMILIAR, NATIVE_HOSTS, asset, nearest_scheme, service


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_a_familiar_scheme_does_not_load_the_other_plugins() -> None:
    script = (
        "import sys; from gateway.channels import build; build('a', 'slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr')\n"
        "print(sum(name.startswith('apprise.plugins.') for name in sys.modules))"
    )
    assert int(run(script)) < 20


def test_the_package_and_the_built_in_channels_need_no_apprise() -> None:
    script = (
        "import sys; from gateway.channels import build; build('a', 'console://'); build('b', 'record://x')\n"
        "print({'apprise', 'requests', 'urllib3'} & set(sys.modules))"
    )
    assert run(script) == "set()"


def test_warnings_of_foreign_imports_stop_nobody_even_as_errors() -> None:
    script = "from gateway.channels import check_url; print(check_url('mailto://me:pass@example.com'))"
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_an_unfamiliar_scheme_is_found_all_the_same() -> None:
    assert "lametric" not in FAMILIAR
    plugin = service("lametric")
    assert plugin is not None and plugin.__name__ == "NotifyLametric"


def test_the_suggestion_is_never_a_denied_scheme() -> None:
    assert nearest_scheme("growll") not in DENIED


@pytest.mark.parametrize(
    ("scheme", "sends"),
    [("json", WIDTH), ("slack", WIDTH), ("mailto", WIDTH), ("ntfy", WIDTH), ("discord", 1), ("mqtt", 1), ("matrix", 1)],
)
def test_a_plugin_that_changes_while_sending_gets_one_send_at_a_time(scheme: str, sends: int) -> None:
    assert width(service(scheme)) == sends


def test_a_plugin_without_readable_source_gets_one_send_at_a_time() -> None:
    json = service("json")
    hidden = type("Hidden", (json,), {"__module__": __name__})

    assert changes_itself(hidden)


def test_the_settings_of_apprise_are_those_of_a_server() -> None:
    settings = asset()

    assert settings.http_redirects is False and settings.pgp_autogen is False and settings.pem_autogen is False
    assert settings.image_url_mask == "" and settings.storage_path is None


def test_native_hosts_are_served_by_familiar_plugins() -> None:
    assert set(NATIVE_HOSTS.values()) <= FAMILIAR.keys()
