"""What happens in a gateway, counted, and how it stands, as Prometheus reads it.

Nothing else imports Prometheus' library: who does not want metrics does not pay for it.
"""

from gateway.observe.metrics import CONTENT_TYPE, Metrics

__all__ = ["CONTENT_TYPE", "Metrics"]
