"""The code location that tells the gateway, of all others too. ``GATEWAY_URL`` says where it is."""

from dagster import Definitions

from gateway.dagster import gateway_sensor

defs = Definitions(sensors=[gateway_sensor(ui="http://127.0.0.1:3000", minimum_interval_seconds=1)])
