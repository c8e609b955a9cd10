"""Where each token that is read of a picture in tiles comes from."""

import jax
import numpy as np
import pytest

from fewvid.models.tiles import bucket, pack, padded, table
from fewvid.models.tiling import Tiling

NEWLINE = -7.0


def places(tiling):
    """Tokens that say where they are: float32[V,1,N,3] of view, row, column of the whole."""
    side, (rows, columns) = tiling.side, tiling.grid
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    found = [np.concatenate([np.zeros((side**2, 1)), at], 1)]
    for i in range(rows):
        found += [
            np.concatenate([np.ones((side**2, 1)), at + [i * side, j * side]], 1)
            for j in range(columns)
        ]
    return np.float32(found)[:, None]


def read(tiling, kept=None):
    visual = places(tiling)
    if kept is not None:
        visual = np.take_along_axis(visual, kept[:, None, :, None], axis=2)
    found = jax.jit(pack)(visual, np.full(3, NEWLINE, np.float32), table(tiling, kept))
    assert found.shape[:2] == (1, 1)
    return np.asarray(found[0, 0])


def test_the_whole_then_rows_across_tiles_without_padding_and_newlines():
    tiling = Tiling((1, 2), 3, top=1, left=0, height=1, width=6, rows=1, columns=6)
    found = read(tiling)
    assert len(found) == tiling.tokens == 9 + 7
    np.testing.assert_array_equal(found[:9], places(tiling)[0, 0])
    np.testing.assert_array_equal(found[9:15], [[1, 1, column] for column in range(6)])
    assert (found[15] == NEWLINE).all()
    high = Tiling((2, 1), 2, top=0, left=0, height=4, width=2, rows=4, columns=2)
    assert [row[1] for row in read(high)[4:]] == [0, 0, NEWLINE, 1, 1, NEWLINE, 2, 2] + [
        NEWLINE, 3, 3, NEWLINE
    ]  # fmt: skip


def test_tokens_brought_down_lie_between_four():
    tiling = Tiling((2, 2), 3, top=0, left=0, height=6, width=6, rows=3, columns=4)
    found = read(tiling)[9:].reshape(3, 5, 3)
    assert (found[:, 4] == NEWLINE).all()
    rows, columns = found[:, :4, 1], found[:, :4, 2]
    np.testing.assert_allclose(rows, [[0.5] * 4, [2.5] * 4, [4.5] * 4])
    np.testing.assert_allclose(columns, [[0.25, 1.75, 3.25, 4.75]] * 3)


def test_keeping_all_is_the_identity():
    for rows, columns in ((4, 4), (3, 2)):
        tiling = Tiling((2, 2), 2, top=0, left=0, height=4, width=4, rows=rows, columns=columns)
        everything = np.broadcast_to(np.arange(4), (5, 4))
        for one, other in zip(table(tiling), table(tiling, everything), strict=True):
            np.testing.assert_array_equal(one, other)


def test_kept_tokens_are_read_in_their_order_and_rows_of_none_have_no_newline():
    tiling = Tiling((1, 2), 2, top=0, left=0, height=2, width=4, rows=2, columns=4)
    kept = np.array([[0, 3], [0, 1], [0, 1]])  # of the tiles the upper row alone
    found = read(tiling, kept)
    assert found.tolist() == [
        [0, 0, 0],
        [0, 1, 1],
        *[[1, 0, column] for column in range(4)],
        [NEWLINE] * 3,
    ]
    below = Tiling((1, 2), 2, top=1, left=0, height=1, width=4, rows=1, columns=4)
    found = read(below, kept)  # all that is kept of the tiles is padding
    assert found.tolist() == [[0, 0, 0], [0, 1, 1], [NEWLINE] * 3]


def test_between_kept_and_dropped_the_nearest_decides_and_the_kept_are_averaged():
    tiling = Tiling((1, 1), 4, top=0, left=0, height=4, width=4, rows=1, columns=3)
    # rows 1 and 2 meet in the middle; columns at 1/6, 1 1/2 and 2 5/6
    kept = np.array([[0, 1], [5, 9]])  # column 1 of both rows
    found = read(tiling, kept)[2:]
    assert found[:, 1:].tolist() == [[1.5, 1.0], [NEWLINE] * 2]
    kept = np.array([[0, 1], [4, 5]])  # columns 0 and 1 of row 1: the nearest of the first two
    found = read(tiling, kept)[2:-1]
    np.testing.assert_allclose(found[:, 1:], [[1, 1 / 6], [1, 1]], atol=1e-6)


def test_a_picture_without_a_token_in_its_tiles_is_closed_all_the_same():
    none = Tiling((2, 1), 2, top=2, left=0, height=0, width=2, rows=0, columns=0)
    found = read(none)
    assert len(found) == none.tokens == 4 + 1
    assert (found[-1] == NEWLINE).all()
    narrow = Tiling((2, 1), 2, top=0, left=1, height=4, width=0, rows=4, columns=0)
    assert len(read(narrow)) == narrow.tokens == 4 + 4


def test_what_pads_a_table_reads_nothing():
    tiling = Tiling((1, 1), 2, top=0, left=0, height=2, width=2, rows=2, columns=2)
    found = table(tiling)
    longer = padded(found, 16)
    visual, newline = places(tiling) + 1, np.full(3, NEWLINE, np.float32)
    whole = pack(visual, newline, longer)[0, 0]
    assert (whole[10:] == 0).all()
    np.testing.assert_array_equal(whole[:10], pack(visual, newline, found)[0, 0])


def test_sizes_come_in_a_few():
    views = sorted(
        {bucket(1 + rows * columns, 2, 2) for rows in range(1, 7) for columns in range(1, 7)}
    )
    assert views == [2, 3, 5, 8, 12, 18, 27, 41]
    lengths = {bucket(count, 64, 4) for count in range(1458, 9600)}
    assert len(lengths) <= 10
    assert all(count <= bucket(count, 64, 4) <= 1.26 * count for count in range(64, 9600, 7))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_read_as_it_is_stays_bit_for_bit(dtype):
    tiling = Tiling((2, 1), 3, top=0, left=1, height=6, width=1, rows=6, columns=1)
    visual = jax.numpy.asarray(np.random.default_rng(0).normal(size=(3, 1, 9, 8)), dtype)
    found = pack(visual, jax.numpy.zeros(8), table(tiling))[0, 0]
    assert found.dtype == visual.dtype
    assert (found[:9] == visual[0, 0]).all()
    assert (found[9::2] == visual[1:, 0, 1::3].reshape(6, 8)).all()
