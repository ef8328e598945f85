from __future__ import annotations

import pytest

from gateway.config.size import parse_size


@pytest.mark.parametrize(
    ("text", "size", "told"),
    [
        ("4MiB", 4 * 1024 * 1024, "4MiB"),
        ("512KiB", 512 * 1024, "512KiB"),
        ("1024KiB", 1024 * 1024, "1MiB"),
        ("1000B", 1000, "1000B"),
        ("0B", 0, "0MiB"),
    ],
)
def test_a_size_is_read_and_told_in_the_largest_unit(text: str, size: int, told: str) -> None:
    assert parse_size(text) == size
    assert str(parse_size(text)) == told


@pytest.mark.parametrize("text", ["", "4", "4MB", "4 MiB", "-4MiB", "4.5MiB", "4mib", "4MiB\n", "9" * 13 + "B"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)
