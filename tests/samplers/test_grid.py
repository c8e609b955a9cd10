"""K cells over a frame: all of it, as equal as can be, along both axes."""

import numpy as np
import pytest

from fewvid.samplers.grid import cells


@pytest.mark.parametrize("count", [1, 2, 9, 12, 16, 25])
def test_every_cell_is_there_and_holds_its_middle(count):
    for keep in range(1, count + 1):
        cell, middle = cells(count, keep)
        assert cell.dtype == middle.dtype == np.int32
        assert (cell.shape, middle.shape) == ((count,), (keep,))
        assert (np.bincount(cell, minlength=keep) > 0).all()
        assert (np.diff(middle) > 0).all()
        assert (cell[middle] == np.arange(keep)).all()
    assert (cell == np.arange(count)).all()


@pytest.mark.parametrize(
    ("count", "keep", "expected"),
    [
        (16, 1, ["0000"] * 4),
        (16, 2, ["0011"] * 4),
        (16, 4, ["0011", "0011", "2233", "2233"]),
        (25, 5, ["00111"] * 2 + ["23344"] * 3),
        (36, 5, ["000111"] * 3 + ["223344"] * 3),
        (12, 3, ["000011112222"]),
    ],
)
def test_a_layout_by_hand(count, keep, expected):
    assert "".join(map(str, cells(count, keep)[0])) == "".join(expected)


def test_rectangles_of_a_square_are_about_as_high_as_wide():
    for keep in (4, 8, 16, 32, 64, 128):
        rows, columns = np.divmod(np.arange(256), 16)
        cell, _ = cells(256, keep)
        for part in range(keep):
            inside = cell == part
            high, wide = np.ptp(rows[inside]) + 1, np.ptp(columns[inside]) + 1
            assert high * wide == inside.sum()
            assert max(high, wide) <= 2 * min(high, wide) + 1
