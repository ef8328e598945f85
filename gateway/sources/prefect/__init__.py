"""Prefect 3 as a source: what its server tells about runs, made transitions."""
