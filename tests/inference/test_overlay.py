"""The picture: bright where kept, dim where dropped, in the video's own aspect."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fewvid.errors import UserError
from fewvid.inference import overlay
from fewvid.inference.selection import Selection


def selection(count=8, height=60, width=80, grid=4, kept=(5, 6), colour=(200, 100, 50)):
    frames = np.broadcast_to(np.uint8(colour), (count, height, width, 3))
    indices = (np.array(kept, np.int32),) * count
    scores = np.full((count, grid**2), 1 / grid**2, np.float32)
    return Selection(indices, scores, frames, np.arange(count, dtype=np.float32) / 4, grid)


def test_kept_patches_are_untouched_and_dropped_ones_dim_and_grey():
    chosen = selection()
    tile = np.asarray(overlay.frame_tile(chosen.frames[0], chosen.mask()[0], (224, 112)), float)
    middle = {i: tile[112 // 8 + 28 * (i // 4), 28 + 56 * (i % 4)] for i in range(16)}
    assert middle[5].tolist() == middle[6].tolist() == [200, 100, 50]
    for i in set(range(16)) - {5, 6}:
        assert middle[i].max() < 0.55 * 200
        assert np.ptp(middle[i]) < 0.3 * 150


def test_an_edge_runs_around_the_kept_region_and_not_through_it():
    chosen = selection()
    tile = np.asarray(overlay.frame_tile(chosen.frames[0], chosen.mask()[0], (224, 112)))
    edge = (tile == overlay.ACCENT).all(-1)
    rows, columns = np.nonzero(edge)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (28, 55, 56, 167)
    assert edge[28:56, 56].all()
    assert not edge[32:52, 60:164].any()  # patches 5 and 6 touch: no line between them


def test_keeping_everything_draws_the_frame_alone():
    chosen = selection(kept=tuple(range(16)))
    tile = np.asarray(overlay.frame_tile(chosen.frames[0], chosen.mask()[0], (224, 224)))
    assert (tile == (200, 100, 50)).all()


@pytest.mark.parametrize(("width", "height"), [(64, 64), (1920, 1080), (320, 568), (3026, 1386)])
def test_frames_keep_their_aspect_and_area(width, height):
    drawn = overlay.tile_size(width, height, count=8)
    assert drawn[0] / drawn[1] == pytest.approx(width / height, rel=0.02)
    assert drawn[0] * drawn[1] == pytest.approx(overlay.SIDE**2, rel=0.02)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (8, 1), (9, 2), (20, 3)])
def test_frames_wrap_into_rows(count, rows):
    picture = overlay.draw(selection(count, height=64, width=64))
    row = overlay.tile_size(64, 64, count)[1] + 30
    assert picture.height == pytest.approx(rows * row + 90, abs=40)
    assert 720 <= picture.width <= overlay.MOST_WIDTH + 60


WEBP = 16383  # the most pixels of a side


def test_many_frames_and_much_text_fit_into_every_format():
    picture = overlay.draw(selection(480, 4, 4), "why? " * 500, "therefore " * 500)
    assert max(picture.size) <= WEBP


@pytest.mark.parametrize(("width", "height"), [(4, 4), (16, 1), (1, 16)])
def test_so_do_the_most_frames_of_any_aspect(width, height):
    most = overlay.MOST_FRAMES
    tile = overlay.tile_size(width, height, most)
    columns = overlay._columns(most, tile)
    assert columns * (tile[0] + overlay.GAP) + 2 * overlay.MARGIN <= WEBP
    assert -(-most // columns) * (tile[1] + overlay.LABEL + overlay.GAP) <= overlay.MOST_HEIGHT


def test_more_are_refused():
    overlay.check_count(overlay.MOST_FRAMES)
    with pytest.raises(UserError, match=r"at most 2000 frames, these are 2001; .* --frames"):
        overlay.check_count(overlay.MOST_FRAMES + 1)


def test_text_adds_lines_above_and_any_text_can_be_drawn():
    plain = overlay.draw(selection())
    short = overlay.draw(selection(), "Which way?", "left")
    long = overlay.draw(selection(), "Wörter 左右 🚗 \u202e\x00 " * 40 + "x" * 900, "右" * 300)
    assert plain.height < short.height < long.height < 3 * plain.height
    assert plain.width == short.width == long.width


def test_a_video_of_one_pixel_can_be_drawn():
    assert isinstance(overlay.draw(selection(1, 1, 1, kept=(0,))), Image.Image)


def test_the_caption_says_model_sampler_and_k_of_n():
    assert overlay.caption(selection()) == "2 of 16 tokens kept in each frame"
    assert overlay.caption(selection(kept=(5,))) == "1 of 16 tokens kept in each frame"


def test_frames_that_keep_different_numbers_are_drawn_and_told_so():
    chosen = selection(count=2)
    chosen = dataclasses.replace(chosen, indices=(np.array([5]), np.array([0, 6, 15])))
    assert (chosen.counts, chosen.kept) == ((1, 3), 2)
    assert [np.flatnonzero(frame).tolist() for frame in chosen.mask()] == [[5], [0, 6, 15]]
    said = "2 of 16 tokens kept in each frame on average, 1 to 3"
    assert overlay.caption(chosen) == said
    assert overlay.draw(chosen).width >= 720
