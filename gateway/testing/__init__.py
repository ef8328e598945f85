"""Testing: real servers on loopback that stand in for the services a gateway talks to."""

from gateway.testing.http_sink import Behaviour, Exchange, HttpSink, Received, answer, drip, hang, reset
from gateway.testing.smtp_sink import Mail, SmtpSink

__all__ = ["Behaviour", "Exchange", "HttpSink", "Mail", "Received", "SmtpSink", "answer", "drip", "hang", "reset"]
