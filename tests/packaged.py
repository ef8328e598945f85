"""The package as it is installed in an engine's environment: its files and its entry points, and nothing beside."""

from __future__ import annotations

import tomllib
from pathlib import Path

import gateway

ROOT = Path(__file__).parents[1]


def packaged(folder: Path) -> Path:
    """``folder``, to be put on a ``PYTHONPATH``: the package is in it, with the entry points of ``pyproject.toml``."""
    information = folder / "gateway-0.dist-info"
    information.mkdir(parents=True)
    (folder / "gateway").symlink_to(Path(gateway.__file__).parent)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: gateway\nVersion: 0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("entry-points", {})
    lines = [line for name, points in groups.items() for line in (f"[{name}]", *map(" = ".join, points.items()))]
    (information / "entry_points.txt").write_text("\n".join(lines))
    return folder
