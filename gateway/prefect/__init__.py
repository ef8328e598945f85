"""prefect: hooks for the flows and tasks of Prefect 3, inside their own process. Needs the standard library only.

In the order it is read: ``objects`` (what Prefect hands to a hook, as a transition), ``reach`` (which tasks a flow's
code refers to), ``hooks`` (what is attached). Prefect itself is never imported: its objects come to us.
"""

from gateway.prefect.hooks import Hooks

__all__ = ["Hooks"]
