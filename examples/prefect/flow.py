"""A flow like any other: it knows nothing of the gateway."""

from prefect import flow, get_run_logger, task


@task(retries=1, retry_delay_seconds=1)
def load(customer: str) -> int:
    get_run_logger().info("reading the orders of %s", customer)
    raise ConnectionError("the database does not answer")


@flow(name="orders")
def orders(customer: str = "globex") -> None:
    load(customer)


if __name__ == "__main__":
    orders(return_state=True)
