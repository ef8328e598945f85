"""Airflow 3's plugin: tells a gateway of task instances and DAG runs.

Installed beside Airflow it is found by itself, in each of its processes. Until ``GATEWAY_URL`` says where the gateway
is, nothing else is imported.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin

__all__ = ["GatewayPlugin"]


def _listeners() -> list[Any]:
    if not os.environ.get("GATEWAY_URL"):
        return []
    from gateway.airflow.listener import GatewayListener  # expensive, and not needed where nobody is to be told

    return [GatewayListener()]


class GatewayPlugin(AirflowPlugin):
    """What Airflow finds by the entry point."""

    name = "gateway"
    listeners = _listeners()
