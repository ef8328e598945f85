"""The demo: the whole way from a flow's failure to a delivered message, on this machine alone."""

from gateway.cli.demo.command import demo

__all__ = ["demo"]
