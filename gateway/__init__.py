"""gateway: a declarative, config-driven notification gateway for workflow state changes.

The light half (states, flows, handlers, secrets) is imported at once and needs only the
standard library; ``Gateway``, which brings the configuration, the store and the channels, is
imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from gateway import states
from gateway.errors import ConfigError, DeliveryError, GatewayError, SecretError
from gateway.flows import Flow, Parameter, Task, context, signals, task, triggers
from gateway.handlers import StateHandler, callback_factory
from gateway.secrets import Secret
from gateway.states import State

if TYPE_CHECKING:
    from gateway.app import Gateway

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DeliveryError",
    "Flow",
    "Gateway",
    "GatewayError",
    "Parameter",
    "Secret",
    "SecretError",
    "State",
    "StateHandler",
    "Task",
    "callback_factory",
    "context",
    "signals",
    "states",
    "task",
    "triggers",
]


def __getattr__(name: str) -> Any:
    """``Gateway``, imported on first use: pydantic, jinja2 and the store cost more than all the rest."""
    if name == "Gateway":
        from gateway.app import Gateway

        return Gateway
    raise AttributeError(f"module 'gateway' has no attribute {name!r}")
