"""client: hands the transitions of any Python process to a gateway elsewhere, by HTTP, with the standard library alone.

In the order it is read: ``segment`` (one file that waits), ``spool`` (all of them), ``line`` (what stands in them),
``address``, ``wire`` and ``verdict`` (where to, a request, what its answer means), ``sender`` (when), ``client`` (who
is called).
"""

from gateway.client.client import Client

__all__ = ["Client"]
