"""One budget over the clip: how much each frame gets of it, and what padding does to that."""

from functools import partial

import jax
import numpy as np
import pytest

from fewvid.samplers import find, spread
from fewvid.samplers.budget import spend

RNG = np.random.default_rng(0)
SCORES = RNG.uniform(size=(4, 5, 16)).astype(np.float32)
FIRST = np.broadcast_to(np.arange(5) == 0, (4, 5))


def counts(found):
    """int[B,T]: how many each frame keeps."""
    return np.asarray(spread(np.ones_like(found.weights), found).sum(-1)).astype(int)


@pytest.mark.parametrize("keep", [1, 3, 15, 16])
def test_the_whole_is_fixed_and_the_parts_are_not(keep):
    scores = SCORES * np.array([1, 1, 5, 1, 0.1])[:, None]
    kept = counts(jax.jit(spend, static_argnums=1)(scores, keep, FIRST))
    assert (kept.sum(-1) == 5 * keep).all()
    assert (kept[:, 0] == keep).all()
    assert kept.min() >= 1
    if 1 < keep < 16:
        assert (kept[:, 2] > kept[:, 4]).all()
        assert (kept[:, 2] > keep).all()


def test_it_is_the_highest_scores_of_all_frames_that_share():
    scores = SCORES.copy()
    scores[:, 1:, 0] = 2  # the highest of a frame is certain: here it is one that would win anyway
    kept = np.asarray(spread(np.ones((4, 5, 3), np.float32), spend(scores, 3, FIRST)) > 0)
    shared = scores[:, 1:].reshape(4, -1)
    bar = np.sort(shared, -1)[:, -12]
    np.testing.assert_array_equal(kept[:, 1:].reshape(4, -1), shared >= bar[:, None])
    own = np.sort(scores[:, 0], -1)[:, -3]
    np.testing.assert_array_equal(kept[:, 0], scores[:, 0] >= own[:, None])


def test_equals_go_to_the_earlier_frame_and_the_lower_index():
    found = spend(np.zeros((1, 3, 4), np.float32), 2, np.zeros((1, 3), bool))
    assert found.frames.ravel().tolist() == [0, 0, 0, 0, 1, 2]
    assert found.indices.ravel().tolist() == [0, 1, 2, 3, 0, 0]


@pytest.mark.parametrize("real", [1, 2, 3])
def test_what_pads_a_clip_takes_nothing_of_it(real):
    tokens = RNG.normal(size=(2, 6, 16, 8)).astype(np.float32)
    temporal = jax.jit(partial(find("temporal"), keep=3))
    alone = temporal(tokens[:, :real])
    mask = np.broadcast_to(np.arange(6) < real, (2, 6))
    for padding in (0, tokens):  # nothing, or another clip's frames
        padded = np.where(mask[..., None, None], tokens, padding)
        found = temporal(padded, frame_mask=mask)
        for kept, all_kept in ((alone.indices, found.indices), (alone.frames, found.frames)):
            np.testing.assert_array_equal(all_kept[:, :real], kept)
        assert (counts(found)[:, real:] == 3).all()
    assert counts(found)[:, 0].tolist() == [3, 3]


def test_frames_that_change_more_keep_more():
    still = RNG.normal(size=(1, 16, 8)).astype(np.float32)
    moved = RNG.normal(size=(4, 16, 8)).astype(np.float32)
    # frame t differs from the one before it in 0, 3, 4 and 8 of its tokens
    clip = [np.broadcast_to(still, (1, 16, 8))]
    for t, changed in enumerate((0, 3, 4, 8)):
        clip.append(np.where(np.arange(16)[:, None] < changed, moved[t], clip[-1]))
    found = find("temporal")(np.stack(clip, 1), keep=4)
    assert counts(found)[0].tolist() == [4, 1, 3, 4, 8]
