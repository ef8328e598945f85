"""A flow with a gateway of its own, in the process of the flow: ``python -m chaos.flow_process NAME``.

It works on the same store as the sidecar. Its lines tell what it is about to report and what was accepted.
"""

from __future__ import annotations

import sys
from itertools import count

from gateway.app import Gateway
from gateway.testing.builders import transition

TASKS = ("load", "copy", "clean")
NODE_TTL = 2.0


def main(name: str) -> None:
    """Report one failure after another, until killed."""
    from chaos.launcher import Settings, hurry

    hurry(Settings(node_ttl=NODE_TTL))
    with Gateway("config", watch=False) as gateway:
        for number in count():
            id, task = f"{name}-{number:06}", TASKS[number % len(TASKS)]
            print("begins", id, task, flush=True)
            gateway.handle(transition(task, id=id))
            print("accepted", id, task, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
