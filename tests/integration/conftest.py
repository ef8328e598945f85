from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.app import Gateway
from gateway.channels import Recording, recording


@pytest.fixture
def bucket() -> str:
    """A name for a recording channel that no other test uses."""
    return uuid4().hex


@pytest.fixture
def sent(bucket: str) -> Recording:
    return recording(bucket)


@pytest.fixture
def write(tmp_path: Path, bucket: str) -> Callable[[str], Path]:
    """Write the configuration of a gateway whose channel ``box`` records; returns its folder."""

    def written(handlers: str, channels: str = "", file: str = "gateway.toml") -> Path:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "store.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/gateway.db"\n')
        (folder / "channels.toml").write_text(f'[channel.box]\nurl = "record://{bucket}"\n' + channels)
        (folder / file).write_text(handlers)
        return folder

    return written


@pytest.fixture
def opened() -> Iterator[Callable[..., Gateway]]:
    """Open gateways that are closed when the test ends."""
    gateways: list[Gateway] = []

    def opening(*arguments: object, **named: object) -> Gateway:
        gateways.append(Gateway(*arguments, **named))  # type: ignore[arg-type]
        return gateways[-1]

    yield opening
    for gateway in gateways:
        gateway.close()
