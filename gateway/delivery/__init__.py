"""Delivery: from an accepted notification to its receipt or its dead letter."""
