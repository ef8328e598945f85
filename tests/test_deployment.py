"""examples/deployment: what its files start, mount, ask and name is there, each starts, and each is linted."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.cli.running import run
from gateway.config.duration import parse_duration
from gateway.secrets import DEFAULT_DIRECTORY, DIRECTORY_VARIABLE
from tests import environments
from tests.integration.prefect3_server import PrefectServer

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "deployment"
CONTAINERFILE = FOLDER / "Containerfile"
COMPOSE = FOLDER / "compose" / "compose.yaml"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))
UNIT = FOLDER / "systemd" / "gateway.service"

GATEWAY = "/opt/gateway/bin/gateway"
CONFIG = "/etc/gateway/config"
STORE = "/var/lib/gateway"
PATIENCE = 20.0
EVENT = {"obj": {"kind": "flow", "name": "nightly"}, "new_state": {"type": "Failed", "message": "no route"}}


@dataclass(frozen=True, slots=True)
class Start:
    """One gateway that a file starts.

    Attributes:
        arguments: of the command ``gateway``, by what they are for.
        files: its configuration.
        secrets: the names of those it gets.
        secrets_folder: where it gets them.
        environment: what is set for it.
        kept: folders it may write to that outlive it.
        mounts: what else it sees.
        stop_seconds: how long after SIGTERM it is killed.
        probes: paths that are asked, and the port.
    """

    arguments: tuple[tuple[str, ...], ...]
    files: Mapping[str, str]
    secrets: frozenset[str]
    secrets_folder: str
    environment: Mapping[str, str]
    kept: frozenset[str]
    mounts: frozenset[str]
    stop_seconds: float
    probes: frozenset[tuple[str, int]] = field(default=frozenset())


# what the files say


def instructions() -> dict[str, list[str]]:
    """The Containerfile's last stage: the arguments of each instruction."""
    text = re.sub(r"\\\n", "", CONTAINERFILE.read_text())
    found: dict[str, list[str]] = {}
    for line in text.rpartition("\nFROM ")[2].splitlines()[1:]:
        word, _, rest = line.partition(" ")
        if word.isupper():
            found.setdefault(word, []).append(rest)
    return found


def container_command() -> tuple[str, ...]:
    told = instructions()
    assert json.loads(told["ENTRYPOINT"][0]) == ["gateway"]
    return tuple(json.loads(told["CMD"][0]))


def healthcheck() -> list[str]:
    return json.loads(instructions()["HEALTHCHECK"][0].partition(" CMD ")[2])


def of_compose() -> Start:
    told = yaml.safe_load(COMPOSE.read_text())
    service = told["services"]["gateway"]
    named = {mount.split(":")[0]: mount.split(":")[1] for mount in service["volumes"]}
    return Start(
        arguments=(container_command(),),
        files=texts(COMPOSE.parent / "gateway" / "config"),
        secrets=frozenset(service["secrets"]),
        secrets_folder=str(DEFAULT_DIRECTORY),
        environment={},
        kept=frozenset(target for source, target in named.items() if source in told["volumes"]),
        mounts=frozenset(named.values()),
        stop_seconds=parse_duration(service["stop_grace_period"]).total_seconds(),
        probes=frozenset({(re.search(r"'GET', '(.+?)'", healthcheck()[-1])[1], 8787)}),  # type: ignore[index]
    )


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.toml")}


def of_manifest(path: Path) -> Start:
    objects = {one["kind"]: one for one in yaml.safe_load_all(path.read_text())}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    gateway = next(one for one in pod["containers"] if one["name"] == "gateway")
    before = pod.get("initContainers", [])
    mounted = {mount["mountPath"]: volumes[mount["name"]] for mount in gateway["volumeMounts"]}
    environment = {one["name"]: one["value"] for one in gateway["env"]}
    waits = float(gateway.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])[1])
    assert objects["ConfigMap"]["metadata"]["name"] == mounted[CONFIG]["configMap"]["name"]
    assert mounted[environment[DIRECTORY_VARIABLE]]["secret"]["secretName"] in path.read_text().partition("\napi")[0]
    assert not any("subPath" in mount for mount in gateway["volumeMounts"])
    return Start(
        arguments=tuple(tuple(map(str, one["args"])) for one in [*before, gateway]),
        files=objects["ConfigMap"]["data"],
        secrets=frozenset(re.findall(r"--from-literal=(\w+)=", path.read_text())),
        secrets_folder=environment[DIRECTORY_VARIABLE],
        environment=environment,
        kept=frozenset(folder for folder, volume in mounted.items() if "persistentVolumeClaim" in volume),
        mounts=frozenset(mounted),
        stop_seconds=pod["terminationGracePeriodSeconds"] - waits,
        probes=frozenset(probes(gateway)),
    )


def probes(container: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for kind in ("livenessProbe", "readinessProbe"):
        if kind in container:
            asked = container[kind]["httpGet"]
            yield asked["path"], ports[asked["port"]]


def unit() -> dict[str, list[str]]:
    """The keys of the unit's service."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text().partition("[Service]")[2], re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def of_unit() -> Start:
    told = unit()
    command, *arguments = shlex.split(told["ExecStart"][0])
    assert command == GATEWAY
    environment = dict(pair.split("=") for pair in told["Environment"][0].split())
    return Start(
        arguments=(tuple(arguments),),
        files=texts(UNIT.parent / "config"),
        secrets=frozenset(one.partition(":")[0] for one in told["LoadCredential"]),
        secrets_folder=environment[DIRECTORY_VARIABLE],
        environment=environment,
        kept=frozenset(f"/var/lib/{name}" for name in told["StateDirectory"]),
        mounts=frozenset({"/etc/gateway"}),
        stop_seconds=float(told["TimeoutStopSec"][0]),
    )


STARTS: Mapping[str, Start] = {
    "compose": of_compose(),
    **{f"kubernetes {path.stem}": of_manifest(path) for path in MANIFESTS},
    "systemd": of_unit(),
}

every_start = pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)


# what has to be so


@every_start
def test_the_secrets_a_configuration_names_are_those_it_gets(start: Start) -> None:
    named = set(re.findall(r"secret\('(\w+)'\)", "".join(start.files.values())))

    assert named == start.secrets


@every_start
def test_the_configuration_is_where_it_is_looked_for_and_the_store_outlives_the_process(start: Start) -> None:
    assert all(arguments[arguments.index("--config") + 1] == CONFIG for arguments in start.arguments)
    assert start.mounts & {CONFIG, str(Path(CONFIG).parent)}
    store = merged(start)["store"]["url"]
    assert store.startswith("{{") or Path(store.removeprefix("sqlite:///")).parent in map(Path, start.kept)


def merged(start: Start) -> dict[str, Any]:
    return tomllib.loads("\n".join(start.files.values()))


@every_start
def test_what_is_due_can_be_sent_before_the_process_is_killed(start: Start) -> None:
    arguments = start.arguments[-1]
    written = inspect.signature(run).parameters["grace"].default
    grace = arguments[arguments.index("--grace") + 1] if "--grace" in arguments else written

    assert parse_duration(grace).total_seconds() < start.stop_seconds


@every_start
def test_nothing_is_set_in_the_environment_that_nobody_reads(start: Start) -> None:
    assert set(start.environment) <= {DIRECTORY_VARIABLE, "PYTHONUNBUFFERED"}


@every_start
def test_probes_ask_the_port_on_which_it_listens(start: Start) -> None:
    listen = merged(start)["server"].get("listen", "127.0.0.1:8787")

    assert {port for _, port in start.probes} <= {int(listen.rpartition(":")[2])}
    assert not start.probes or "localhost" not in listen


# what happens when they are started


class Process:
    """The command of a start, its folders somewhere else."""

    def __init__(self, start: Start, arguments: tuple[str, ...], folder: Path) -> None:
        paths = {CONFIG: str(folder / "config"), STORE: str(folder / "store"), "%d": str(folder / "secrets")}
        environment = {key: paths.get(value, value) for key, value in start.environment.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *(paths.get(one, one) for one in arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", **environment, DIRECTORY_VARIABLE: str(folder / "secrets")},
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def says(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        return found

    def ended(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


@contextmanager
def started(start: Start, arguments: tuple[str, ...], folder: Path) -> Iterator[Process]:
    running = Process(start, arguments, folder)
    try:
        yield running
    finally:
        running.process.kill()
        running.ended()
        assert running.process.stdout is not None
        running.process.stdout.close()


SECRETS = {"ONCALL_URL": "console://", "GATEWAY_TOKEN": "0123456789abcdef0123", "PREFECT_AUTH": "admin:some"}


@pytest.fixture
def prepared(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Put a start's configuration and secrets into a folder, on a port that is free and with no engine to follow."""

    def preparing(start: Start, engine: str = "http://127.0.0.1:9/api") -> Path:
        for name in ("config", "secrets", "store"):
            (tmp_path / name).mkdir()
        for name, text in start.files.items():
            text = re.sub(r'^listen = ".*"$', 'listen = "127.0.0.1:0"', text, flags=re.MULTILINE)
            text = re.sub(r'^api( *)= ".*"$', rf'api\1= "{engine}"', text, flags=re.MULTILINE)
            if "listen" not in text:
                text = text.replace("[server]\n", '[server]\nlisten = "127.0.0.1:0"\n')
            (tmp_path / "config" / name).write_text(text.replace(STORE, str(tmp_path / "store")))
        for name in start.secrets:
            value = SECRETS.get(name) or request.getfixturevalue("postgres_url")
            (tmp_path / "secrets" / name).write_text(value + "\n")
        return tmp_path

    return preparing


@every_start
def test_it_checks_starts_answers_its_probes_tells_and_ends(start: Start, prepared) -> None:
    folder = prepared(start)
    with started(start, ("check", "--strict", "--config", CONFIG), folder) as checked:
        assert checked.ended() == 0, checked.said
    *before, last = start.arguments
    for arguments in before:
        with started(start, arguments, folder) as done:
            assert done.ended() == 0, done.said

    with started(start, last, folder) as running:
        url = running.says(r"Listening on (\S+)")[1]
        for path, _ in start.probes:
            assert httpx.get(url + path).status_code == 200, path
        answer = httpx.post(
            url + "/api/v1/transitions", json=EVENT, headers={"Authorization": f"Bearer {SECRETS['GATEWAY_TOKEN']}"}
        )
        assert answer.status_code == 202
        running.says("no route")
        assert container_is_healthy(url)
        running.process.send_signal(signal.SIGTERM)
        assert running.ended() == 0, running.said


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_compose_starts_tells_of_the_flow_that_fails(prepared, tmp_path: Path) -> None:
    """All of it as processes: the server with its password, the gateway with its rules, the flow."""
    server = PrefectServer(environments.required("prefect3"), tmp_path / "server", auth=SECRETS["PREFECT_AUTH"])
    start = STARTS["compose"]
    folder = prepared(start, engine=server.api)
    flow = COMPOSE.parent / "flows" / "failing.py"
    try:
        server.start()
        with started(start, start.arguments[-1], folder) as running:
            running.says("Listening on")
            python = environments.required("prefect3")
            subprocess.run([python, flow], env=server.environment(), capture_output=True, timeout=60, check=True)
            running.says(r"load of nightly failed\n.*no route to the warehouse")
            running.says(r"nightly.* Failed\n(.*\n)*.*http://127.0.0.1:4200/runs/flow-run/")
    finally:
        server.close()


def container_is_healthy(url: str) -> bool:
    """What the container's own check says of the gateway at ``url``."""
    _, *check = healthcheck() if healthcheck()[0] == "CMD" else ["CMD", *healthcheck()]
    port = url.rpartition(":")[2]
    command = [sys.executable, *(one.replace("8787", port) for one in check[1:])]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=PATIENCE).returncode == 0


def test_a_container_in_which_nobody_answers_is_not_healthy() -> None:
    assert not container_is_healthy("http://127.0.0.1:9")


# the container


def test_a_container_is_made_of_what_is_there() -> None:
    text = CONTAINERFILE.read_text()
    copied = [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    sent = re.findall(r"^!(\S+)$", (FOLDER / "Containerfile.dockerignore").read_text(), re.MULTILINE)
    [extras] = re.findall(r"^ARG EXTRAS=(\S+)$", text, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert set(copied) == set(sent)
    assert all((ROOT / name).exists() for name in copied)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "--constraint constraints.txt" in text


def test_a_container_runs_as_somebody_who_owns_the_store_and_nothing_else() -> None:
    told = instructions()

    assert told["USER"] == ["10001:10001"]
    assert told["VOLUME"] == [STORE]
    assert any(f"--uid 10001 --home-dir {STORE} --create-home" in line for line in told["RUN"])


def test_compose_builds_the_container() -> None:
    build = yaml.safe_load(COMPOSE.read_text())["services"]["gateway"]["build"]

    context = (COMPOSE.parent / build["context"]).resolve()
    assert context == ROOT
    assert context / build["dockerfile"] == CONTAINERFILE


# linters


def lint(*command: str | Path) -> None:
    tool = environments.required("deployment").with_name(str(command[0]))
    done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_containerfile_is_linted() -> None:
    lint("hadolint", CONTAINERFILE)


def test_the_compose_file_follows_the_specification() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.30", "1.36"])
def test_a_manifest_follows_the_api_of_kubernetes(manifest: Path, version: str) -> None:
    lint("kubernetes-validate", "--strict", "--quiet", "-k", version, manifest)


def systemd_analyze(*arguments: str | Path) -> str:
    if shutil.which("systemd-analyze") is None:
        reason = "systemd-analyze is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """With a command that is there: it looks for it."""
    told = tmp_path / "gateway.service"
    told.write_text(UNIT.read_text().replace(GATEWAY, sys.executable))

    assert "gateway.service" not in systemd_analyze("verify", "--man=no", told)


def test_the_unit_is_hardened() -> None:
    """The threshold is in tenths; a unit that says nothing has 96."""
    systemd_analyze("security", "--offline=yes", "--threshold=13", "--no-pager", UNIT)


def test_no_key_of_the_unit_stands_where_systemd_passes_it_over() -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)

    assert parser.sections() == ["Unit", "Service", "Install"]
    assert "StartLimitIntervalSec" in parser["Unit"]


def test_every_file_is_on_the_page() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()

    for path in [CONTAINERFILE, COMPOSE, *MANIFESTS, UNIT]:
        assert f"../examples/deployment/{path.relative_to(FOLDER)}" in page
