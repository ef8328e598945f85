"""The HTTP server of ``gateway run``: takes transitions, answers questions, obeys its operators."""

from gateway.server.access import Access, access_problems, declared_access
from gateway.server.door import Door, open_door
from gateway.server.serving import Server

__all__ = ["Access", "Door", "Server", "access_problems", "declared_access", "open_door"]
