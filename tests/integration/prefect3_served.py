"""A deployment of Prefect 3 with our hooks on it, served until it is ended; run by test_prefect3_hooks.py.

What hooks tell goes to the file that TOLD names, as lines of JSON. Each run leaves its process's id beside it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from gateway.encoding import encode
from gateway.prefect import Hooks
from gateway.transition import Transition

TOLD = Path(os.environ["TOLD"])


class Lines:
    """A sink: appends each transition to a file."""

    def take(self, transitions: list[Transition]) -> None:
        with TOLD.open("a") as file:
            file.write("".join(encode(one) + "\n" for one in transitions))


@Hooks(Lines()).attach
@flow
def served() -> None:
    TOLD.with_name(str(flow_run.id)).write_text(str(os.getpid()))
    time.sleep(300)


if __name__ == "__main__":
    served.serve(name="served")
