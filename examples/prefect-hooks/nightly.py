"""A flow of Prefect 3 that tells a gateway of all that happens to it. The one line is the decorator."""

from prefect import flow, task

from gateway.prefect import Hooks

hooks = Hooks()


@hooks.attach
@flow
def nightly(customer: str) -> int:
    """Extract and load the orders of a customer."""
    return load(extract(customer))


@task(retries=2, retry_delay_seconds=0.5)
def extract(customer: str) -> list[str]:
    """The orders of ``customer``; none is found for a customer nobody knows."""
    orders = {"acme": ["anvil", "rocket"]}
    return orders[customer]


@task
def load(orders: list[str]) -> int:
    """How many orders were loaded."""
    return len(orders)


if __name__ == "__main__":
    nightly("acme")
    nightly("umbrella", return_state=True)
