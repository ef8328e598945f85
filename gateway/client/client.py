"""Client: a state handler that hands transitions to a gateway elsewhere."""

from __future__ import annotations

import atexit
import logging
import os
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet, WeakValueDictionary

from gateway.client.address import DEFAULT_URL, Address, parse_address
from gateway.client.line import line_of
from gateway.client.sender import Sender
from gateway.client.spool import Spool
from gateway.client.wire import Wire, is_token
from gateway.errors import ClientError, SecretError
from gateway.inprocess import observe
from gateway.secrets import read_secret
from gateway.transition import Transition

log = logging.getLogger("gateway.client")

URL_VARIABLE, TOKEN_VARIABLE, SPOOL_VARIABLE = "GATEWAY_URL", "GATEWAY_TOKEN", "GATEWAY_SPOOL"
"""What the environment can say of a client; the token is looked for as every secret is."""

LIMIT_BYTES = 64 * 1024 * 1024
END_SECONDS = 2.0
"""How long the end of a process waits, at most, for what is not sent yet."""

Key = tuple[str, str, int, bool, str | None]
"""What a client is made of, the token left out."""


class Client:
    """Hands transitions to a gateway by HTTP: attach it to tasks and flows as a state handler.

    Args:
        url: the gateway's address; ``GATEWAY_URL``, or port 8787 of this machine, unless given.
        token: the gateway's token; the secret ``GATEWAY_TOKEN``, if it is set, unless given.
        spool: the folder in which transitions wait until the gateway has them; ``GATEWAY_SPOOL``, or one in the user's
            state directory, unless given.
        limit: bytes that may wait there, in files of all processes together; what is new is refused beyond.
        sync: have each call wait until the disk has the transition: it then survives a loss of power too, and not only
            the end of its process.
        cafile: a file of certificates to trust, for https; those of the system unless given.

    Raises:
        ClientError: the address is none, the token cannot be one, or the folder takes no files.

    Each transition is written to a file before the call returns, and deleted from it once the gateway has it on its
    own disk. A call never raises, and never waits for the network. It pickles without the token: the other process
    has its own environment.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        spool: str | Path | None = None,
        limit: int = LIMIT_BYTES,
        sync: bool = False,
        cafile: str | Path | None = None,
    ) -> None:
        address = parse_address(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL)
        if token is not None and not is_token(token):
            raise ClientError("that is no token: a token is printable ASCII without spaces")
        root = Path(spool or os.environ.get(SPOOL_VARIABLE) or _default_spool()).expanduser().absolute()
        self._assemble(address, token, root, limit, sync, None if cafile is None else str(Path(cafile).absolute()))
        self._spool.probe()
        if self._spool.others():
            self._sender.wake()

    def _assemble(
        self, address: Address, token: str | None, root: Path, limit: int, sync: bool, cafile: str | None
    ) -> None:
        self._key: Key = (address.url, str(root), limit, sync, cafile)
        self._token = token
        self._lost, self._trouble = 0, ""
        self._closed = False
        self._ends: set[int] = set()
        self._spool = Spool(root / address.folder, limit, sync=sync)
        self._sender = Sender(self._spool, Wire(address, self._known_token, _trusted(address, cafile)), address.url)
        _clients.add(self)
        _by_key[self._key] = self

    # transitions

    def __call__(self, obj: Any, old_state: Any, new_state: Any) -> Any:
        """Hand this change on; always return ``new_state``. Never raises, and never waits for the network."""
        try:
            self._keep([observe(obj, old_state, new_state)])
        except Exception:
            log.exception("a transition could not be handed on")
        return new_state

    def take(self, transitions: Sequence[Transition]) -> None:
        """Hand ``transitions`` on. Never raises, and never waits for the network."""
        try:
            self._keep(transitions)
        except Exception:
            if len(transitions) > 1:  # one that cannot be written must not keep the others back
                for transition in transitions:
                    self.take([transition])
            else:
                log.exception("a transition could not be handed on")

    def _keep(self, transitions: Sequence[Transition]) -> None:
        lines = b"".join(map(line_of, transitions))
        if not lines:
            return
        try:
            self._spool.append(lines)
            self._trouble = ""
        except OSError as error:
            self._hold(lines, len(transitions), error)
        if self._closed:
            log.warning("the client is closed: transitions wait in %s for the next one", self.folder)
            return
        if os.getpid() not in self._ends:
            self._end_with_the_process()
        self._sender.wake()

    def _hold(self, lines: bytes, count: int, error: OSError) -> None:
        """What the spool does not take may still be sent from memory."""
        if self._closed or not self._sender.hold(lines):
            self._lose(count, error)
        elif self._trouble != _said(error):
            self._trouble = _said(error)
            log.warning("transitions are held in memory, the spool does not take them: %s", self._trouble)

    def _lose(self, count: int, error: OSError) -> None:
        before, self._lost = self._lost, self._lost + count
        if before.bit_length() != self._lost.bit_length():  # not one line for each of many
            log.error("%s transitions were lost, the spool does not take them: %s", self._lost, _said(error))

    def _known_token(self) -> str:
        if self._token is not None:
            return self._token
        try:
            token = read_secret(TOKEN_VARIABLE).strip()
        except SecretError:
            return ""
        return token if is_token(token) else ""

    # how it stands

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self._key[0]

    @property
    def folder(self) -> str:
        """Where transitions for this gateway wait."""
        return str(self._spool.folder)

    @property
    def waiting(self) -> int:
        """How many transitions of this process wait in its files."""
        return self._spool.waiting()

    def files_of_others(self) -> int:
        """How many files wait here that other processes have written, alive or gone; the latter are sent from here."""
        return self._spool.others()

    @property
    def lost(self) -> int:
        """How many transitions this process gave up, because neither disk nor memory had room."""
        return self._lost

    @property
    def rejected(self) -> int:
        """How many transitions the gateway would not take; they were put aside, with what was wrong."""
        return self._sender.rejected

    # the end

    def flush(self, timeout: float = END_SECONDS, *, patient: bool = True) -> bool:
        """Wait until the gateway has everything of this process, ``timeout`` seconds at most; whether it has.

        Args:
            timeout: seconds.
            patient: go on trying while the gateway is away; else the first failed attempt ends it.
        """
        return self._sender.flush(timeout, patient=patient)

    def close(self, timeout: float = END_SECONDS) -> bool:
        """Send what waits, within ``timeout`` seconds, then stop. Safe to call twice.

        Returns whether the gateway has everything. What it has not stays on the disk, for the next client.
        """
        return self._close(timeout, patient=True)

    def _close(self, timeout: float, *, patient: bool) -> bool:
        if self._closed:
            return self._sender.is_idle
        is_done = self._sender.flush(timeout, patient=patient)
        self._closed = True
        self._sender.close(0.1)
        for lines in self._sender.held():
            self._keep_at_last(lines)
        self._spool.close()
        return is_done

    def _keep_at_last(self, lines: bytes) -> None:
        try:
            self._spool.append(lines)
        except OSError as error:
            self._lose(lines.count(b"\n"), error)

    def _end_with_the_process(self) -> None:
        """Have what is left sent when this process ends. Those that multiprocessing forks end in a way of their own."""
        self._ends = {os.getpid()}
        pool = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if pool is not None and process is not None and process.parent_process() is not None:
            pool.Finalize(None, self._end, exitpriority=0)
        else:
            atexit.register(self._end)

    def _end(self) -> None:
        atexit.unregister(self._end)
        self._close(END_SECONDS, patient=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # other processes

    def __reduce__(self) -> tuple[Any, ...]:
        return revived, self._key

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def forget_inherited(self) -> None:
        """In a forked child: begin anew, with files and a thread of its own."""
        self._spool.forget_inherited()
        self._sender.forget_inherited()


_clients: WeakSet[Client] = WeakSet()
_by_key: WeakValueDictionary[Key, Client] = WeakValueDictionary()
_reviving = threading.Lock()


def revived(*key: Any) -> Client:
    """The client of this process that is made of the same: the one that was pickled, or one made when it arrives.

    A folder that takes no files here, where nobody can be told, is found out by the first transition.
    """
    url, root, limit, sync, cafile = key
    with _reviving:
        client = _by_key.get((url, root, limit, sync, cafile))
        if client is None or client._closed:
            client = Client.__new__(Client)
            client._assemble(parse_address(url), None, Path(root), limit, sync, cafile)
            _arrived[client._key] = client
        return client


_arrived: dict[Key, Client] = {}
"""Those that came from elsewhere: whoever attached them may be gone before they have sent everything."""


def _default_spool() -> Path:
    """A folder of the user's, for what is to outlive a restart."""
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        raise ClientError("this user has no home: name a folder by spool= or GATEWAY_SPOOL") from None
    return Path(state) / "gateway" / "spool"


def _trusted(address: Address, cafile: str | None) -> ssl.SSLContext | None:
    if not address.is_secure:
        return None
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise ClientError(f"the certificates in {cafile} cannot be read: {_said(error)}") from None


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _forget_inherited() -> None:
    global _reviving
    _reviving = threading.Lock()
    for client in list(_clients):
        client.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
