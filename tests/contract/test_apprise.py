"""The surfaces of apprise, requests and urllib3 that are not promised and that we stand on.

When one of these fails after an upgrade, the module it names needs another look before the pin moves.
"""

from __future__ import annotations

import ast
import http.client
import inspect
import re
import smtplib
import subprocess
import sys
from pathlib import Path

import apprise
import pytest
import requests
import urllib3
from apprise.asset import AppriseAsset
from apprise.logger import logger
from apprise.manager_plugins import NotificationManager
from apprise.plugins import base, details, requirements
from apprise.plugins.base import NotifyBase
from apprise.url import URLBase

from gateway.channels.concurrency import changes_itself
from gateway.channels.overlay import AttemptLog
from gateway.channels.services import DENIED, FAMILIAR, asset, service

ROOT = Path(apprise.__file__).parent


@pytest.fixture(scope="module")
def plugins() -> dict[str, type[NotifyBase]]:
    """Every plugin by scheme, loaded where warnings of foreign imports do no harm."""
    service("a scheme that does not exist, which loads them all")
    manager = NotificationManager()
    return {scheme: manager[scheme] for scheme in manager.schemas()}


def sources() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] in ("plugins", "utils")]


def test_the_familiar_table_says_what_the_full_scan_says(plugins: dict[str, type[NotifyBase]]) -> None:
    for scheme, module in FAMILIAR.items():
        assert plugins[scheme] is service(scheme)
        assert plugins[scheme].__module__.startswith(f"apprise.plugins.{module}")


def test_every_denied_scheme_exists(plugins: dict[str, type[NotifyBase]]) -> None:
    assert DENIED.keys() <= plugins.keys()


def test_plugins_reach_requests_only_through_the_module(  # overlay.cover
) -> None:
    """A plugin that imported ``post`` itself, or made a Session, would go around the transport."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "requests":
                assert node.module in ("requests.auth", "requests.adapters"), path
            if isinstance(node, ast.Import):
                names = {alias.name: alias.asname for alias in node.names}
                assert names.get("requests") is None, path


def test_plugins_use_only_the_functions_that_the_stand_in_offers() -> None:
    used = {
        name for path in sources() for name in re.findall(r"\brequests\.([a-z]+)\(", path.read_text(encoding="utf-8"))
    }
    assert used <= {"get", "post", "put", "patch", "delete", "request"}


def test_mail_goes_through_one_module_that_takes_smtplib_and_ssl_by_name() -> None:
    users = [path for path in ROOT.rglob("*.py") if re.search(r"smtplib\.SMTP(_SSL)?\b(?!Exception)", path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in users] == ["plugins/email/smtp.py"]
    text = users[0].read_text()
    assert "import smtplib\nimport ssl\n" in text
    assert "context = ssl.create_default_context()" in text
    assert set(re.findall(r"\bcontext\.(\w+)", text)) == {"check_hostname", "verify_mode"}
    assert set(re.findall(r"self\._socket\.(\w+)\(", text)) == {"starttls", "login", "quit", "sendmail"}


def test_the_library_logs_to_one_logger() -> None:
    assert logger.name == "apprise"
    assert URLBase.logger is logger


def test_throttle_is_a_method_that_an_instance_may_replace() -> None:
    assert list(inspect.signature(URLBase.throttle).parameters) == ["self", "last_io", "wait"]
    plugin = service("json")(host="localhost")
    plugin.throttle = lambda last_io=None, wait=None: None
    plugin.throttle(wait=60)


def test_what_arrived_of_a_message_is_tracked_by_piece() -> None:
    assert base._delivery_tracker.get() is None
    assert base._delivery_index.get() == 0


def test_the_settings_of_a_plugin_are_attributes() -> None:
    plugin = service("mqtt")(host="localhost", targets="a")
    for name in ("retry", "overflow_mode", "socket_read_timeout", "logger", "request_rate_per_sec"):
        assert hasattr(plugin, name)
    assert plugin.mqtt_block_time_sec > 0.005
    assert callable(plugin.client.disconnect) and callable(plugin.client.loop_stop)


def test_a_length_is_multiplied_by_the_plugin_s_own_retries() -> None:
    plugin = service("json")(host="localhost", retry=3)
    assert len(plugin) == 4
    assert len(service("json")(host="localhost", asset=asset())) == 1


def test_descriptions_have_the_shape_the_checker_reads(plugins: dict[str, type[NotifyBase]]) -> None:
    for plugin in set(plugins.values()):
        about = details(plugin)
        assert {"tokens", "args", "kwargs"} <= about.keys()
        assert all("prefix" in kwarg for kwarg in about["kwargs"].values())
        assert isinstance(requirements(plugin)["packages_required"], list)


def test_parameters_that_read_files_are_the_known_ones(plugins: dict[str, type[NotifyBase]]) -> None:
    names = {name for plugin in set(plugins.values()) for name in details(plugin)["args"]}

    assert {n for n in names if re.search(r"(?<!pro)file$|pgp|pem|wkd", n)} == {
        "pgp", "pgppub", "pgpprv", "wkd", "keyfile", "subfile"
    }  # fmt: skip


def test_the_asset_takes_the_settings_of_a_server() -> None:
    for name in ("http_redirects", "pgp_autogen", "pem_autogen", "image_url_mask", "image_url_logo", "secure_logging"):
        assert hasattr(AppriseAsset, name)


def test_the_plugins_that_change_while_sending_are_the_known_ones(plugins: dict[str, type[NotifyBase]]) -> None:
    changing = {plugin.__name__.removeprefix("Notify") for plugin in set(plugins.values()) if changes_itself(plugin)}

    assert changing == {
        "Aprs", "BlueSky", "Discord", "Emby", "Fluxer", "Growl", "Guilded", "Jellyfin", "Lametric", "MQTT", "MacOSX",
        "Mastodon", "Matrix", "Office365", "Reddit", "Revolt", "RingCentral", "SimplePush", "Twist", "Twitter", "Vapid",
        "Windows", "XMPP",
    }  # fmt: skip


def test_a_response_keeps_its_body_where_we_put_it() -> None:
    response = requests.Response()
    response._content, response._content_consumed = b"{}", True

    assert (response.content, response.text, response.json()) == (b"{}", "{}", {})


def test_the_adapter_has_the_hooks_that_the_transport_fills_in() -> None:
    adapter = requests.adapters.HTTPAdapter
    expected = ["self", "request", "stream", "timeout", "verify", "cert", "proxies"]
    assert list(inspect.signature(adapter.send).parameters) == expected
    expected = ["self", "request", "verify", "cert"]
    assert list(inspect.signature(adapter.build_connection_pool_key_attributes).parameters) == expected
    assert list(inspect.signature(adapter.cert_verify).parameters) == ["self", "conn", "url", "verify", "cert"]


def test_pools_and_responses_can_be_of_our_classes() -> None:
    assert set(urllib3.PoolManager().pool_classes_by_scheme) == {"http", "https"}
    assert urllib3.connection.HTTPConnection.response_class is http.client.HTTPResponse
    assert urllib3.HTTPSConnectionPool.ConnectionCls is urllib3.connection.HTTPSConnection
    assert "conn.is_closed" in inspect.getsource(urllib3.HTTPSConnectionPool._validate_conn)


def test_smtplib_reads_replies_from_a_file_we_may_provide() -> None:
    assert "if self.file is None" in inspect.getsource(smtplib.SMTP.getreply)


def test_importing_a_plugin_does_not_load_the_others() -> None:
    script = (
        "import sys, apprise.plugins.custom_json\n"
        "print(sum(name.startswith('apprise.plugins.') for name in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(out) < 10


def test_the_log_of_an_attempt_offers_what_plugins_call() -> None:
    called = {
        name
        for path in sources()
        for name in re.findall(r"\bself\.logger\.([a-zA-Z]+)", path.read_text(encoding="utf-8"))
    }
    assert called and all(callable(getattr(AttemptLog(), name)) for name in called)
