"""The description of the API is valid, and what it says is true: schemathesis asks the running server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

SEED = 20261
CASES = 12
BEYOND_SCHEMAS = """
[[operations]]
include-name = ["POST /api/v1/lineage", "POST /api/v1/cloudevents"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]
"""
"""What events of open standards must be goes beyond a schema: a run needs a time, and that must have come."""

METASCHEMA = "https://json-schema.org/draft/2020-12/schema"


def description(serving):
    return serving.client.get("/api/v1/openapi.json").json()


def test_every_schema_of_it_is_one_and_every_reference_leads_somewhere(serve) -> None:
    told = description(serve())

    assert told["openapi"] == "3.1.0"
    for name, schema in told["components"]["schemas"].items():
        assert schema.get("$schema", METASCHEMA) == METASCHEMA, name
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {*references(told)} <= {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def test_it_names_and_explains_every_operation(serve) -> None:
    operations = [one for path in description(serve())["paths"].values() for one in path.values()]

    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in operations)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_running_server_does_what_it_says(serve, event, tmp_path) -> None:
    """Every operation, with what it should take and with what it should not; the seed is in the output."""
    serving = serve('max_body = "16MiB"\n', token=True)  # it sends an array of more than the most transitions, too
    serving.post([event(), event(state={"type": "Success"})])
    (tmp_path / "schemathesis.toml").write_text(BEYOND_SCHEMAS)
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{serving.server.url}/api/v1/openapi.json"]
    options = {"--seed": SEED, "--max-examples": CASES, "--checks": "all", "--phases": "coverage,fuzzing"}
    options |= {"--header": f"Authorization:Bearer {serving.token}", "--warnings": "off"}

    done = subprocess.run(
        [*command, *(str(word) for option in options.items() for word in option)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 selected / 17 total" in done.stdout
    assert serving.client.get("/readyz").status_code == 200
