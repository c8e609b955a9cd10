"""A narrowed row is, number for number, the row that is packed for the smaller K."""

import jax
import numpy as np
import pytest

from fewvid.data.batches import BatchShape, pack_row, stack
from fewvid.data.media import BadSamples, frame_reader
from fewvid.data.mixtures import Source, read_source
from fewvid.data.narrow import narrow
from fewvid.data.rows import Rows
from fewvid.errors import UserError

VISUAL, SYSTEM = 4, (9, 9)
QUESTIONS = [
    [([10, 11], [20, 2])],
    [([12, 13, 14], [21, 2]), ([15], [22, 23, 2])],  # a conversation of two turns
    [([16], [2])],
]
M, T, LENGTH, ANSWERS = 5, 3, 38, 9


def shape(**changes):
    sizes = {"batch_size": 4, "frames": T, "image_size": 8, "visual_tokens_per_frame": M}
    return BatchShape(**(sizes | {"length": LENGTH, "answers": ANSWERS, "narrows_by": 4} | changes))


def packed(frames, per_frame, count, system=(), bos=(1,), closing=0):
    """A row as a stage with this K alone would pack it, in a batch of its own length."""
    visual = shape(visual_tokens_per_frame=per_frame, closing=closing).visual_tokens(frames)
    prefix = (*bos, *[VISUAL] * visual, *system)
    row, kept = pack_row(prefix, QUESTIONS[:count], LENGTH - T * (M - per_frame), ANSWERS)
    assert len(kept) == count
    return row


CLIPS = {
    "full": {"frames": 3, "count": 1},
    "short": {"frames": 2, "count": 2},
    "image": {"frames": 1, "count": 3},
    "text": {"frames": 0, "count": 3},
    "several questions": {"frames": 3, "count": 3},
    "system": {"frames": 2, "count": 2, "system": SYSTEM},
    "no bos": {"frames": 3, "count": 2, "bos": ()},
}


@pytest.mark.parametrize("closing", [0, 1])
@pytest.mark.parametrize("per_frame", [1, 2, 4, 5])
def test_narrowing_is_packing_for_the_smaller_k(per_frame, closing):
    clips = [clip | {"closing": closing} for clip in CLIPS.values()]
    wide = stack([packed(per_frame=M, **clip) for clip in clips])
    wide["times"] = np.zeros((len(CLIPS), T), np.float32)
    sizes = shape(closing=closing)
    narrowed = jax.jit(lambda batch: narrow(batch, sizes, per_frame, VISUAL))(wide)
    expected = stack([packed(per_frame=per_frame, **clip) for clip in clips])
    assert narrowed.keys() == wide.keys()
    for key, value in expected.items():
        for name, row, wanted in zip(CLIPS, np.asarray(narrowed[key]), value, strict=True):
            np.testing.assert_array_equal(row, wanted, err_msg=f"{name}: {key}")


def test_with_the_same_k_nothing_is_touched():
    wide = stack([packed(per_frame=M, frames=1, count=1)])
    assert all(value is wide[key] for key, value in narrow(wide, shape(), M, VISUAL).items())


@pytest.fixture
def image_rows(tmp_path, write_images, chat):
    """Makes rows of one image with three questions of 8 ids each behind a prefix of 1 + M."""

    def make(**sizes):
        groups = [read_source(Source(write_images(tmp_path / str(sizes["length"]), 1)))]
        wanted = shape(questions=3, **sizes)
        read = frame_reader(wanted.frames, wanted.image_size)
        return groups[0][0], Rows(groups, wanted, chat, read, None, BadSamples())

    return make


def test_an_image_row_leaves_room_for_the_frames_that_it_lacks(image_rows):
    group, rows = image_rows(length=34)
    rows.prepare()
    row = rows.text_row(group, 1, np.random.default_rng(0))
    used = int((row["segments"] > 0).sum())
    assert len(row["tokens"]) == 34
    assert used <= rows.shape.room(1) == 34 - 2 * 4
    narrowed = narrow(stack([row]), rows.shape, 1, VISUAL)
    assert narrowed["tokens"].shape == (1, 34 - 3 * 4)
    assert int((np.asarray(narrowed["segments"]) > 0).sum()) == used - 4
    for name in ("answer_tokens", "answer_weights"):
        np.testing.assert_array_equal(narrowed[name][0], row[name])


def test_an_image_that_has_no_such_room_says_how_long_a_row_must_be(image_rows):
    _, rows = image_rows(length=20)
    with pytest.raises(UserError, match=r"do not fit in length=20 .*; set length to (\d+) or") as e:
        rows.prepare()
    length = int(str(e.value).split("set length to ")[1].split()[0])
    image_rows(length=length)[1].prepare()
