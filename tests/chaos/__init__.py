"""Chaos: a gateway that is killed, starved and lied to, and an audit of its books from outside.

Read in this order: ``declaration`` (what the gateway is told to do), ``producer`` and ``sink`` (the two
ends), ``gateway_process`` with ``launcher`` (the thing between them, and how it is broken), ``books`` and
``audit`` (what must be true afterwards), ``world`` (all of it together), then the tests.
"""
