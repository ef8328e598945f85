"""Revisions of the tables, in order; what runs them is :mod:`gateway.store.migration`."""
