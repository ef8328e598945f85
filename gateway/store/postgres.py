"""PostgreSQL: one writing connection per process, a few that only read, one that is told when to look.

Needs psycopg, so this module is imported only for an address that begins with ``postgresql://``.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from select import select
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from gateway.errors import StoreDoubtError, StoreError
from gateway.store.address import PostgresAddress
from gateway.store.clock import DatabaseClock, Reading, steady
from gateway.store.dialects import leaves_due
from gateway.store.reader import QUERY_LIMIT, READERS
from gateway.store.room import Room
from gateway.store.translation import translate, translated

try:
    import psycopg
    from psycopg.types.string import StrDumper
except ImportError as missing:
    raise StoreError(
        "a store at postgresql:// needs a package that is not installed: "
        "pip install 'psycopg[binary]' (the extra 'postgres' has it)"
    ) from missing

log = logging.getLogger("gateway.store")

T = TypeVar("T")
Sync = Literal["full", "normal"]

OLDEST_SERVER = 13
CHANNEL = "gateway_due"
"""What is sent to the listening nodes when something is due that they may not know of."""

FEWEST_SECONDS_BETWEEN_HINTS = 0.1
"""Notifications take turns over the whole database, so a flood must not make many."""

LONGEST_DOUBT = 10.0
"""Seconds spent on finding out whether a transaction was committed whose answer was lost."""

_DOUBTING_PAUSE = 0.1
_LISTENING_PAUSE = 1.0

# So that a host that is gone without a word is noticed in seconds, on either side.
_NETWORK: Mapping[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "gateway",
    "client_encoding": "UTF8",
}
_WRITER_SETTINGS = {
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A node that is stopped inside a transaction must not keep its rows from the others for long.
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
}
_READER_SETTINGS = {
    "default_transaction_isolation": "repeatable read",  # all of one question from one view
    "default_transaction_read_only": "on",
    "statement_timeout": f"{QUERY_LIMIT}s",
    "idle_in_transaction_session_timeout": "10s",
}
_SYNCHRONOUS_COMMIT = {"full": "on", "normal": "off"}

_BEGIN = text("SELECT CAST(pg_current_xact_id() AS text), CAST(extract(epoch FROM clock_timestamp()) AS float8)")
_STATUS = text("SELECT pg_xact_status(CAST(:xid AS xid8))")
_NOTIFY = text(f"NOTIFY {CHANNEL}")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Where the store is and how carefully it is written."""

    address: PostgresAddress
    sync: Sync = "full"

    def open(self) -> PostgresDatabase:
        """Connect for the current process.

        Raises:
            StoreError: the database cannot be reached, or is not one we can use.
        """
        database = PostgresDatabase(self)
        try:
            with database.transaction() as connection:
                _check(connection)
        except BaseException:
            database.close()
            raise
        return database

    def engine(self, pool: type[Pool], settings: Mapping[str, str], **more: Any) -> Engine:
        """The library's view of connections that have ``settings``."""
        return create_engine(
            "postgresql+psycopg://",
            creator=lambda: self.connect(settings),
            poolclass=pool,
            use_native_hstore=False,  # or it would ask each database whether it has that type
            **more,
        )

    def connect(self, settings: Mapping[str, str]) -> psycopg.Connection[Any]:
        """A connection of the driver's own, with ``settings`` made.

        Raises:
            StoreError: there is none to be had.
        """
        try:
            connection = psycopg.connect(**{**_NETWORK, **self.address.parameters}, autocommit=True)  # type: ignore[arg-type]
        except psycopg.Error as error:
            raise StoreError(f"the store at {self.address.place} cannot be reached: {self._said(error)}") from None
        try:
            for name, value in settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", [name, value])
            connection.autocommit = False
        except psycopg.Error as error:
            connection.close()
            raise translate(error) from None
        return connection

    def _said(self, error: psycopg.Error) -> str:
        """What the driver says, on one line, and never the password, whatever it may quote."""
        said = " ".join(str(error).split()).removeprefix("connection failed: ")
        return said.replace(self.address.password, "***") if self.address.password else said


class AnyText(StrDumper):
    """Takes text that no database keeps as what it would never find, where the driver would refuse the question."""

    def dump(self, obj: str) -> bytes:
        """``obj`` in UTF-8, without half characters and NUL."""
        return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


def _check(connection: Connection) -> None:
    version = int((connection.dialect.server_version_info or (0,))[0])
    if version < OLDEST_SERVER:
        raise StoreError(f"the database server is PostgreSQL {version}; {OLDEST_SERVER} or newer is needed")
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError(f"the database keeps text as {encoding}; make one with ENCODING 'UTF8'")


class PostgresReaders:
    """The reading connections of one process."""

    def __init__(self, server: PostgresServer) -> None:
        self._engine = server.engine(
            QueuePool, _READER_SETTINGS, pool_size=READERS, max_overflow=0, pool_timeout=QUERY_LIMIT
        )
        event.listen(self._engine, "connect", lambda raw, _: raw.adapters.register_dumper(str, AnyText))

    def read(self, query: Callable[[Connection], T], seconds: float = QUERY_LIMIT) -> T:
        """What ``query`` finds in one consistent view.

        Raises:
            StoreError: it took longer than ``seconds``, or the database cannot be reached.
        """
        with translated():
            try:
                return self._read(query, seconds)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return self._read(query, seconds)  # the connection was from before the database was restarted

    def _read(self, query: Callable[[Connection], T], seconds: float) -> T:
        with self._engine.connect() as connection, connection.begin():
            if seconds != QUERY_LIMIT:
                connection.execute(text(f"SET LOCAL statement_timeout = {round(seconds * 1000)}"))
            return query(connection)

    def room(self) -> Room:
        """Nothing is known of the server's disk."""
        return Room()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


class PostgresDatabase:
    """The connections of one process."""

    shares_rates = True
    migrates = False
    upkeep = None

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._engine = server.engine(
            NullPool, {**_WRITER_SETTINGS, "synchronous_commit": _SYNCHRONOUS_COMMIT[server.sync]}
        )
        self._writing: Connection | None = None
        self._readers = PostgresReaders(server)
        self._clock = DatabaseClock()
        self._hinted = -FEWEST_SECONDS_BETWEEN_HINTS
        self._listener: Listener | None = None

    def is_alone(self) -> bool:
        """Never for sure: another host may be out of reach for a moment only. Its claims return when it stays so."""
        return False

    def now(self) -> datetime:
        """The time by the database's clock."""
        return self._clock.now()

    def read(self, query: Callable[[Connection], T], seconds: float = QUERY_LIMIT) -> T:
        """What ``query`` finds in one consistent view; see :meth:`PostgresReaders.read`."""
        return self._readers.read(query, seconds)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The writing connection, connected anew if it was lost, until the block's changes are committed.

        Raises:
            StoreDoubtError: the answer to the commit was lost, and it cannot be learnt what became of it.
        """
        connection, xid = self._begun()
        try:
            yield connection
            self._hint(connection)
        except BaseException:
            self._roll_back(connection)
            raise
        try:
            connection.commit()
        except DBAPIError:
            lost = connection.invalidated
            self._roll_back(connection)
            if not (lost and self._was_committed(xid)):
                raise

    def _begun(self) -> tuple[Connection, str]:
        """The connection in a new transaction, and the transaction's name."""
        known = self._writing is not None
        try:
            return self._begin_on(self._connected())
        except DBAPIError as error:
            if not (known and error.connection_invalidated):
                raise
        return self._begin_on(self._connected())  # the connection was from before the database was restarted

    def _begin_on(self, connection: Connection) -> tuple[Connection, str]:
        try:
            return connection, self._begin(connection)
        except BaseException:
            self._roll_back(connection)
            raise

    def _connected(self) -> Connection:
        if self._writing is None:
            self._writing = self._engine.connect()
        return self._writing

    def _begin(self, connection: Connection) -> str:
        """Begin a transaction and return its name; read the clock on the way."""
        leaves_due(connection)  # what a transaction noted that was rolled back
        before = steady()
        xid, said = connection.execute(_BEGIN).one()
        self._clock.saw(Reading(said, before, steady()))
        return str(xid)

    def _hint(self, connection: Connection) -> None:
        """Tell the other nodes that something is due. A hint only: they look by themselves, too."""
        now = time.monotonic()
        if leaves_due(connection) and now - self._hinted >= FEWEST_SECONDS_BETWEEN_HINTS:
            self._hinted = now
            connection.execute(_NOTIFY)

    def _roll_back(self, connection: Connection) -> None:
        with suppress(DBAPIError):
            connection.rollback()
        if connection.invalidated or connection.closed:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._writing = self._writing, None
        if connection is not None:
            with suppress(DBAPIError, psycopg.Error):
                connection.close()

    def _was_committed(self, xid: str) -> bool:
        deadline = time.monotonic() + LONGEST_DOUBT
        while time.monotonic() < deadline:
            try:
                status = self._readers.read(lambda connection: connection.execute(_STATUS, {"xid": xid}).scalar_one())
            except StoreError as error:
                log.warning("it is not known yet whether a transaction was committed", extra={"error": str(error)})
                status = "unknown"
            if status not in ("unknown", "in progress"):
                return bool(status == "committed")
            time.sleep(_DOUBTING_PAUSE)
        raise StoreDoubtError(
            f"the database at {self._server.address.place} went away and left in doubt what of the last changes it kept"
        )

    def listen(self, heard: Callable[[], object]) -> None:
        """Call ``heard`` from now on when another node leaves something due; now and then for nothing."""
        self._listener = Listener(self._server, heard)
        self._listener.start()

    def close(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._listener.close()
        self._disconnect()
        self._readers.close()
        self._engine.dispose()


class Listener:
    """A connection, and a thread that waits for what it is told."""

    def __init__(self, server: PostgresServer, heard: Callable[[], object]) -> None:
        self._server, self._heard = server, heard
        self._closing = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="gateway-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen. At the interpreter's end no thread can be started, and polling must do."""
        with suppress(RuntimeError):
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._waker.send(b".")
        if self._thread.ident is not None:
            self._thread.join()
        self._woken.close()
        self._waker.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._server.connect({}) as connection:
                    connection.autocommit = True
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._pass_on(connection)
            except (StoreError, psycopg.Error) as error:
                log.info("hints of what is due are not heard at present", extra={"error": str(error)})
            self._closing.wait(_LISTENING_PAUSE)

    def _pass_on(self, connection: psycopg.Connection[Any]) -> None:
        while not self._closing.is_set():
            self._heard()  # at first, too: something may have been said before we listened
            select([connection.fileno(), self._woken.fileno()], [], [])
            for _ in connection.notifies(timeout=0):
                pass
