"""The world in memory: what the files show, before a codec, however many processes drew it."""

import numpy as np
import pytest

from fewvid.data.shapes import Variant, World, draw
from fewvid.data.shapes.arrays import CHUNK
from fewvid.data.shapes.renderers import pixels
from fewvid.data.shapes.world import sample_of


@pytest.mark.parametrize(
    ("medium", "variant", "frames"),
    [
        ("video", Variant(), 8),
        ("video", Variant(frames=12, look="alt"), 12),
        ("image", Variant(look="alt"), 1),
        ("album", Variant(), 8),
    ],
)
def test_samples_are_those_of_the_files(medium, variant, frames):
    world = World(0, 0, seed=3, variant=variant)
    drawn, asked = draw(world, "test", medium, 5, 8)
    assert drawn.shape == (3, frames, 64, 64, 3)
    assert drawn.dtype == np.uint8
    for index, (shown, questions) in enumerate(zip(drawn, asked, strict=True), start=5):
        scenes, wanted = sample_of(world, "test", medium, index)
        assert questions == wanted
        np.testing.assert_array_equal(shown, pixels(scenes, variant.look))


def test_many_processes_draw_what_one_does():
    world, count = World(0, 0, seed=3), 4 * CHUNK + 7
    drawn, asked = draw(world, "train", "image", 20, 20 + count, workers=2)
    alone, wanted = draw(world, "train", "image", 20, 20 + count, workers=1)
    np.testing.assert_array_equal(drawn, alone)
    assert asked == wanted
    drawn[0] = 0  # it is the caller's own
    assert not drawn[0].any()
