"""The grid of tiles that a picture is cut into, and which part of it is no padding."""

import pytest

from fewvid.errors import UserError
from fewvid.models.config import AdapterConfig, EncoderConfig, LvlmConfig
from fewvid.models.tiling import best_grid, tiling
from fewvid.training.sizes import check_sizes

GRIDS = tuple((rows, columns) for rows in range(1, 7) for columns in range(1, 7))
ENCODER = EncoderConfig(image_size=384, patch_size=14)  # 27 x 27 tokens


def of(height, width, grids=GRIDS, limit=9):
    adapter = AdapterConfig("projector", newline=True, tiles=grids, tile_limit=limit)
    return tiling(height, width, ENCODER, adapter)


@pytest.mark.parametrize(
    ("height", "width", "grid"),
    [
        (384, 384, (1, 1)),
        (100, 90, (1, 1)),  # all of its pixels fit: the least padding
        (768, 384, (2, 1)),
        (667, 1000, (2, 3)),
        (385, 385, (2, 2)),
        (3000, 3000, (6, 6)),
        (100, 4000, (1, 6)),
    ],
)
def test_the_grid_shows_the_most_pixels_with_the_least_padding(height, width, grid):
    assert best_grid(height, width, 384, GRIDS) == grid


def test_of_equals_the_first_is_taken_and_there_is_always_one():
    assert best_grid(500, 500, 384, [(1, 2), (2, 1)]) == (1, 2)
    assert best_grid(500, 500, 384, [(2, 1), (1, 2)]) == (2, 1)
    assert best_grid(1, 100_000, 384, [(2, 1), (1, 2)]) in [(2, 1), (1, 2)]  # nothing is shown


def test_padding_is_left_out_of_the_two_sides_that_have_it():
    found = of(667, 1000)  # 54 x 81 tokens, of which 54.03 would be needed: none is padding
    assert (found.top, found.left, found.height, found.width) == (0, 0, 54, 81)
    assert found.views == 7
    assert found.tokens == 729 + 54 * 82
    wide = of(100, 4000)  # 162 tokens wide and so 4.05 high, in the middle of 27
    assert (wide.top, wide.height, wide.width) == (11, 5, 162)
    high = of(4000, 100)
    assert (high.left, high.width, high.height) == (11, 5, 162)


def test_too_many_tokens_are_brought_down_to_the_limit():
    assert (of(1152, 1152).rows, of(1152, 1152).columns) == (81, 81)  # 9 frames are no more than 9
    whole = of(2304, 2304)
    assert (whole.height, whole.rows, whole.columns) == (162, 81, 81)
    long = of(2304, 1152)  # 18 frames: brought down by the root of 2
    assert (long.rows, long.columns) == (114, 57)
    nearly = of(1152, 1300)  # 81 x 91.4 of 108: 10.4 frames' are still below 1.21 times 9
    assert (nearly.rows, nearly.columns) == (nearly.height, nearly.width) == (81, 92)
    assert of(1152, 1152, limit=4).rows == 54


def test_a_config_with_tiles_goes_through_json_and_is_checked():
    adapter = AdapterConfig("projector", newline=True, tiles=((1, 1), (2, 3)))
    config = LvlmConfig(adapter=adapter)
    values = config.to_dict()
    values["adapter"]["tiles"] = [[1, 1], [2, 3]]
    assert LvlmConfig.from_dict(values) == config
    assert hash(LvlmConfig.from_dict(values)) == hash(config)
    check_sizes(config, "model")
    for tiles, said in (((1, 2), r"tiles\[0\] is 1"), (((1, 0),), r"tiles\[0\] is 0, must be")):
        wrong = LvlmConfig(adapter=AdapterConfig("projector", newline=True, tiles=tiles))
        with pytest.raises(UserError, match=said):
            check_sizes(wrong, "model")
    with pytest.raises(UserError, match=r"needs adapter\.newline true"):
        LvlmConfig(adapter=AdapterConfig("projector", tiles=((1, 1),)))
