"""The shim: a small library preloaded into a gateway: it counts writes that are made sure of, and sets its clock.

So the whole process sees another wall clock, as after a step of the machine's, and nothing of the gateway is patched.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

SOURCE = Path(__file__).with_name("shim.c")
_LAYOUT = struct.Struct("=qq")


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


class Shim:
    """The library and the numbers that a test and its gateways share, for the length of a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._library, self._shared = folder / "shim.so", folder / "shim.shared"
        found = compiler()
        assert found is not None
        subprocess.run([found, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE, "-ldl"], check=True)
        self._shared.write_bytes(_LAYOUT.pack(0, 0))

    def __enter__(self) -> Self:
        with self._shared.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    @property
    def environment(self) -> dict[str, str]:
        """For the process that is to have it."""
        return {"LD_PRELOAD": str(self._library), "GATEWAY_CHAOS_SHIM": str(self._shared)}

    @property
    def syncs(self) -> int:
        """How often the disk was asked to make sure: fsync and fdatasync."""
        return int(_LAYOUT.unpack(self._map[:])[0])

    def set_clock(self, seconds: float) -> None:
        """Have the wall clock be ``seconds`` ahead of the machine's."""
        self._map[8:16] = struct.pack("=q", int(seconds * 1e9))
