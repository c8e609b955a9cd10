"""All samplers in one picture: every row has its name, and nothing runs into anything else."""

import numpy as np
import pytest

from fewvid.inference import comparison
from fewvid.inference.comparison import Choice
from fewvid.inference.overlay import ACCENT, BACKGROUND, MARGIN
from fewvid.inference.selection import Selection
from fewvid.samplers import SAMPLERS


def selection(kept, count=8, height=60, width=80):
    frames = np.full((count, height, width, 3), 200, np.uint8)
    scores = np.tile(np.arange(16, dtype=np.float32), (count, 1))
    indices = np.tile(np.int32(kept), (count, 1))
    return Selection(indices, scores, frames, np.arange(count, dtype=np.float32), 4, model="m")


def test_the_share_is_of_the_whole_response():
    assert Choice("a", selection((0, 15))).share == pytest.approx(15 / 120)
    assert Choice("a", selection(range(16))).share == 1


@pytest.mark.parametrize(("count", "shown"), [(1, [0]), (3, [0, 1, 2]), (16, [0, 3, 6, 9, 12, 15])])
def test_few_frames_are_shown_the_first_and_last_among_them(count, shown):
    assert comparison.spread(count, 6) == shown


def test_every_sampler_says_what_it_does():
    words = {name: comparison.description(name) for name in SAMPLERS}
    assert all(text and "`" not in text for text in words.values())
    assert len(set(words.values())) == len(words)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (320, 40), (30, 300)])
@pytest.mark.parametrize("answer", ["", "a very long answer " * 12])
def test_rows_and_columns_stay_apart(width, height, answer):
    made = [selection((i,), 8, height, width) for i in range(3)]
    choices = [Choice(name, one, answer) for name, one in zip(SAMPLERS, made, strict=False)]
    picture = np.asarray(comparison.draw(made[0], choices, "What?"))
    tile = comparison.tile_size(width, height)
    assert tile[0] * tile[1] == pytest.approx(comparison.SIDE**2, rel=0.02)
    # between the labels and the frames runs a strip with nothing in it
    strip = picture[140:-60, MARGIN + comparison.LABEL - 12 : MARGIN + comparison.LABEL - 2]
    assert (strip == BACKGROUND).all()
    # in the first frame's column, one patch is marked a sampler, each below the one before
    column = picture[140:-60, MARGIN + comparison.LABEL :][:, : tile[0]]
    rows = np.flatnonzero((column == ACCENT).all(-1).any(1))
    groups = np.split(rows, np.flatnonzero(np.diff(rows) > tile[1] // 4 + 2) + 1)
    assert len(groups) == 3
