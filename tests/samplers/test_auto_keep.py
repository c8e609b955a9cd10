"""How much a clip changes, and the K that it gets for that."""

import numpy as np
import pytest

from fewvid.samplers import auto_keep


def clip(*frames):
    """Frames of two patches each, unit vectors at these degrees: float32[1,T,2,2]."""
    angle = np.radians(np.array(frames, np.float32))
    return np.stack([np.cos(angle), np.sin(angle)], -1)[None]


def test_change_is_the_mean_turn_of_a_patch_from_frame_to_frame():
    turned = auto_keep.change(clip((0, 0), (60, 0), (60, 180)))
    assert float(turned[0]) == pytest.approx((0.5 + 0 + 0 + 2) / 4, abs=1e-6)
    assert float(auto_keep.change(3 * clip((0, 0), (60, 0)))[0]) == pytest.approx(0.25, abs=1e-6)


def test_a_picture_and_a_still_clip_have_none():
    assert float(auto_keep.change(clip((10, 70)))[0]) == 0
    assert float(auto_keep.change(clip((10, 70), (10, 70)))[0]) == pytest.approx(0, abs=1e-6)


def test_what_pads_a_clip_does_not_count():
    short, padded = clip((0, 0), (60, 0)), clip((0, 0), (60, 0), (90, 90), (0, 180))
    both = np.concatenate([padded, padded, padded])
    mask = np.arange(4) < np.array([[2], [1], [4]])
    got = auto_keep.change(both, mask)
    assert float(got[0]) == pytest.approx(float(auto_keep.change(short)[0]), abs=1e-6)
    assert float(got[1]) == 0
    assert float(got[2]) == pytest.approx(float(auto_keep.change(padded)[0]), abs=1e-6)


def test_bfloat16_tokens_are_measured_in_float32():
    import jax.numpy as jnp

    assert auto_keep.change(jnp.asarray(clip((0, 0), (1, 0)), jnp.bfloat16)).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "kept"),
    [(0.0, 2), (0.009, 2), (0.01, 4), (0.039, 4), (0.084, 8), (0.159, 8), (0.16, 16), (2.0, 16)],
)
def test_more_change_gets_more_tokens(change, kept):
    assert auto_keep.choose(change, 64) == kept


def test_there_are_few_sizes_at_least_one_token_each():
    assert auto_keep.sizes(64) == (2, 4, 8, 16)
    assert auto_keep.sizes(576) == (18, 36, 72, 144)
    assert auto_keep.sizes(16) == (1, 2, 4)
    assert auto_keep.sizes(1) == (1,)
    for count in (1, 5, 16, 64, 729):
        assert {auto_keep.choose(x / 100, count) for x in range(40)} == set(auto_keep.sizes(count))
