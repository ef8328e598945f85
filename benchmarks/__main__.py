"""Run every benchmark, or those named: ``python -m benchmarks [--quick] [NAME …]``.

Each prints a table of its own; figures that are compared come from the same run.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that they run")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(NAMES)):
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(quick=arguments.quick)
        print()


if __name__ == "__main__":
    main()
