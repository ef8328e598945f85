"""A flow that knows nothing of the gateway, and fails."""

from prefect import flow, task


@task
def load() -> None:
    """Find no route."""
    raise ConnectionError("no route to the warehouse")


@flow
def nightly() -> None:
    """Load, and fail with it."""
    load()


if __name__ == "__main__":
    nightly(return_state=True)
