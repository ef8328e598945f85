"""A PostgreSQL of one's own: on a free port, in a folder of its own, to be crashed without disturbing anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

from chaos.gateway_process import free_port

SERVER_USER = "postgres"
Ending = Literal["fast", "immediate"]
"""``fast`` breaks off what is in progress, ``immediate`` is a crash."""

_GUARD = 'cat >/dev/null; "$1" stop -w -D data -m immediate; rm -rf "$2"'
"""Waits until whoever has started it is gone, in whatever way, and leaves nothing behind."""


def binaries() -> Path | None:
    """Where the newest installed server's programs are; ``None`` without one."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = shutil.which("initdb")
    elsewhere = None if found is None else Path(found).resolve().parent
    return max(installed, key=lambda path: int(path.parent.name), default=elsewhere)


class Cluster:
    """A database server, for the length of a ``with`` block."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self._binaries, self._port = found, free_port()
        # Not in pytest's folders: the server runs as another user when we are root, and may not enter those.
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-chaos-"))
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, SERVER_USER, SERVER_USER)
            self._identity = {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []}

    def __enter__(self) -> Self:
        self._run("initdb", "-D", "data", "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", self._binaries / "pg_ctl", self._folder],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._identity,
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.communicate(timeout=30)

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{SERVER_USER}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self, ending: Ending) -> None:
        """Stop the server."""
        self._run("pg_ctl", "stop", "-w", "-D", "data", "-m", ending)

    def create(self, database: str) -> str:
        """Make a new database; returns its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a pipe would be kept open by the server
            timeout=60,
            **self._identity,
        )
        assert done.returncode == 0, f"{program} failed, see {self._folder}"
