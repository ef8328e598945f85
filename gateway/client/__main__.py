"""Send what processes that are gone have left, and say what is left then: ``python -m gateway.client drain``."""

from __future__ import annotations

import argparse
import sys
import time

from gateway.client.client import Client
from gateway.errors import ClientError

POLL_SECONDS = 0.1


def main() -> int:
    """The exit status: 0 if nothing waits any longer, 1 if something does, 2 if it cannot be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.client", description="Send what processes that are gone have left in the spool."
    )
    parser.add_argument("command", choices=["drain"], help="the one there is; exits with 1 if something still waits")
    parser.add_argument("--url", help="the gateway's address; GATEWAY_URL unless given")
    parser.add_argument("--spool", help="the folder in which transitions wait; GATEWAY_SPOOL unless given")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds; 60 unless given")
    given = parser.parse_args()
    try:
        client = Client(given.url, spool=given.spool)
    except ClientError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with client:
        left = drained(client, given.timeout)
        files = {0: "nothing waits", 1: "1 file waits"}.get(left, f"{left} files wait")
        sys.stdout.write(f"{files} in {client.folder}\n")
    return 1 if left else 0


def drained(client: Client, seconds: float) -> int:
    """Wait until nobody's file waits, ``seconds`` at most; how many do. Files of processes that live are theirs."""
    deadline = time.monotonic() + seconds
    while (left := client.files_of_others()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


if __name__ == "__main__":
    sys.exit(main())
