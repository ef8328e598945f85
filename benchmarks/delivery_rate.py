"""Deliveries per second over HTTP and verified HTTPS: a channel of ours against ``apprise.Apprise.notify``.

Both send the same message to the same server, which runs in a process of its own, from the same
number of threads, in turns; the ratio is what counts. Processor time is that of the sending process.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import apprise
import certifi
import trustme

from gateway.channels import Message, build
from gateway.channels.transport import Transport
from gateway.testing import HttpSink

THREADS = 8
Send = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Measure:
    per_second: float
    processor_ms: float


def serve(pipe: Connection, certificate: str) -> None:
    """The server's process: an HTTP and an HTTPS sink, until the pipe says stop."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with HttpSink() as plain, HttpSink(tls=tls) as secure:
        pipe.send((plain.address, secure.address))
        pipe.recv()


@contextmanager
def servers(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Addresses of both servers, and a CA bundle of the usual size that their certificate is in."""
    authority = trustme.CA()
    certificate, bundle = folder / "server.pem", folder / "bundle.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, str(certificate)), daemon=True)
    process.start()
    plain, secure = ours.recv()
    yield plain, secure, bundle
    ours.send("stop")
    process.join()


def measure(send: Send, count: int) -> Measure:
    """``count`` sends from ``THREADS`` threads, after a few to warm up; all must succeed."""
    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(lambda _: send(), range(2 * THREADS)))
        started, processor = time.perf_counter(), time.process_time()
        assert all(threads.map(lambda _: send(), range(count)))
        took, used = time.perf_counter() - started, time.process_time() - processor
    return Measure(count / took, 1000 * used / count)


def of_apprise(url: str) -> Send:
    library = apprise.Apprise()
    assert library.add(url)
    return lambda: bool(library.notify(body="The nightly load has failed.", title="load"))


def of_channel(url: str, transport: Transport) -> Send:
    channel, message = build("bench", url, transport=transport), Message("The nightly load has failed.", "load")
    return lambda: channel.send(message, 30).kind == "delivered"


def median(measures: list[Measure]) -> Measure:
    return Measure(
        statistics.median(m.per_second for m in measures), statistics.median(m.processor_ms for m in measures)
    )


def compare(name: str, theirs: tuple[Send, int], ours: tuple[Send, int], rounds: int) -> None:
    pairs = [(measure(*theirs), measure(*ours)) for _ in range(rounds)]
    library, channel = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
    print(
        f"{name:6} {library.per_second:12,.0f} {library.processor_ms:10.2f} {channel.per_second:12,.0f}"
        f" {channel.processor_ms:10.2f} {channel.per_second / library.per_second:9.1f}x"
        f" {library.processor_ms / channel.processor_ms:9.1f}x"
    )


def main(quick: bool = False) -> None:
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    rounds, scale = (1, 1) if quick else (5, 10)
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as (plain, secure, bundle):
        os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)  # for the library, which has no other way to be told
        transport = Transport(ca_file=str(bundle))
        http, https = f"json://{plain}/", f"jsons://{secure}/"
        print(f"deliveries from {THREADS} threads; ms is processor time of one delivery")
        print(f"{'':6} {'apprise /s':>12} {'ms':>10} {'channel /s':>12} {'ms':>10} {'rate':>10} {'ms':>10}")
        compare("HTTP", (of_apprise(http), 50 * scale), (of_channel(http, transport), 100 * scale), rounds)
        compare("HTTPS", (of_apprise(https), 8 * scale), (of_channel(https, transport), 100 * scale), rounds)


if __name__ == "__main__":
    main()
