"""The views of a still picture: squeezed whole, and tiles without a change of aspect."""

import numpy as np
import pytest

from fewvid.data.decode import decode_video
from fewvid.data.images import resize
from fewvid.data.tiles import fitted, views
from fewvid.models.config import Side

SIDE = Side(16, "bicubic")


def test_the_first_view_is_the_frame_and_tiles_put_together_are_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    found = views(picture, SIDE, (2, 3))
    assert found.shape == (7, 16, 16, 3)
    np.testing.assert_array_equal(found[0], resize(picture[None], SIDE)[0])
    whole = np.concatenate(
        [np.concatenate([*row], 1) for row in found[1:].reshape(2, 3, 16, 16, 3)]
    )
    np.testing.assert_array_equal(whole, picture)  # of that size already


@pytest.mark.parametrize("grid", [(1, 2), (2, 1)])
def test_what_is_missing_is_black_on_both_sides(grid):
    white = np.full((16, 16, 3), 255, np.uint8)
    found = views(white, SIDE, grid)
    tiles = found[1:] if grid == (1, 2) else found[1:].swapaxes(1, 2)
    line = np.concatenate(tiles[:, 0])[:, 0]
    assert line.tolist() == [0] * 8 + [255] * 16 + [0] * 8
    assert (found[0] == 255).all()


def test_the_size_that_fits():
    assert fitted(300, 451, 384, 768) == (384, 578)  # 577.28 is rounded up
    assert fitted(667, 1000, 768, 1152) == (768, 1152)  # and never over
    assert fitted(1, 4000, 384, 384) == (1, 384)


def test_a_picture_may_stay_as_it_is_where_frames_are_brought_to_a_size(tmp_path):
    from PIL import Image

    file = tmp_path / "wide.png"
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(file)
    assert decode_video(file, 1, size=SIDE).frames.shape == (1, 16, 16, 3)
    assert decode_video(file, 1, size=SIDE, whole=True).frames.shape == (1, 20, 50, 3)
