"""OpenLineage: run events of Airflow, Spark, dbt, Flink and others as transitions."""

from gateway.sources.openlineage.mapping import read_events

__all__ = ["read_events"]
