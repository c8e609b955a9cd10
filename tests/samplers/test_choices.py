"""One example of each strategy where the right choice is known by hand."""

import jax
import numpy as np
import pytest

from fewvid.samplers import SAMPLERS, gather

COMPILED = {name: jax.jit(strategy, static_argnames="keep") for name, strategy in SAMPLERS.items()}
AXES = np.eye(5, dtype=np.float32)


def frame(*tokens):
    return np.stack(tokens)[None, None].astype(np.float32)


def on_a_circle(*degrees):
    angle = np.radians(degrees)
    return frame(*np.stack([np.cos(angle), np.sin(angle)], -1))


def choice(name, tokens, keep, response=None, query=None):
    """The kept indices of one frame."""
    if response is not None:
        response = np.array(response, np.float32)[None, None]
    found = COMPILED[name](tokens, keep=keep, response=response, query=query, rng=jax.random.key(0))
    return found, found.indices[0, 0].tolist()


def pairs(found):
    """The (frame, index) of all that is kept of the first clip, in reading order."""
    return list(zip(found.frames[0].ravel().tolist(), found.indices[0].ravel().tolist(), strict=1))


def test_attention_keeps_the_highest_and_the_first_of_equals():
    tokens = frame(*AXES)
    assert choice("attention", tokens, 2, [0.1, 0.4, 0.2, 0.3, 0])[1] == [1, 3]
    assert choice("attention", tokens, 3, [0.2] * 5)[1] == [0, 1, 2]


def test_stride_is_even_along_both_axes():
    tokens = frame(*np.zeros((16, 1)))
    assert choice("stride", tokens, 4)[1] == [5, 7, 13, 15]
    assert choice("stride", tokens, 2)[1] == [9, 11]
    assert choice("stride", tokens[:, :, :12], 3)[1] == [2, 6, 10]


def test_pool_averages_squares():
    found, kept = choice("pool", frame(*np.arange(16.0)[:, None]), 4)
    assert kept == [5, 7, 13, 15]
    means = gather(frame(*np.arange(16.0)[:, None]), found)[0, 0, :, 0]
    assert means.tolist() == [2.5, 4.5, 10.5, 12.5]


def test_entropy_keeps_what_is_rare():
    a, b, c, *_ = AXES
    found, kept = choice("entropy", frame(a, a, b, 2 * a, -3 * c), 2)
    assert kept == [2, 4]
    expected = -np.log(np.array([3, 3, 1, 3, 1]) / 5)
    np.testing.assert_allclose(found.scores[0, 0], expected, rtol=1e-5)


def test_maxmin_starts_at_the_loneliest_and_goes_to_the_farthest():
    tokens = on_a_circle(0, 10, 100, 190, 205)
    assert [choice("maxmin", tokens, keep)[1] for keep in (1, 2, 3)] == [[2], [2, 4], [0, 2, 4]]


def test_attention_diverse_passes_over_copies():
    a, b, c, *_ = AXES
    tokens, response = frame(a, a, b, c), [0.4, 0.35, 0.2, 0.05]
    assert choice("attention", tokens, 2, response)[1] == [0, 1]
    kept = [choice("attention_diverse", tokens, keep, response)[1] for keep in (1, 2, 3)]
    assert kept == [[0], [0, 2], [0, 2, 3]]


def test_attention_merge_sorts_the_rest_into_evenly_spaced_targets():
    a, b, *_ = AXES
    # by response 0 to 7 are kept as they are; of 8 to 15 the third and the seventh are targets
    tokens = frame(*[a] * 8, a, a, a, b, b, b, b, 3 * a)
    found, kept = choice("attention_merge", tokens, 10, np.arange(16, 0, -1))
    assert kept == [0, 1, 2, 3, 4, 5, 6, 7, 10, 14]
    merge = np.asarray(found.merge[0, 0])
    np.testing.assert_array_equal(merge[:8], np.eye(16)[:8])
    expected = np.zeros((2, 16))
    expected[0, [8, 9, 15]] = expected[1, [11, 12, 13]] = 1 / 6
    expected[[0, 1], [10, 14]] = 1 / 2
    np.testing.assert_allclose(merge[8:], expected, rtol=1e-6)
    np.testing.assert_allclose(gather(tokens, found)[0, 0, 8], (1 + 5 / 3) / 2 * a, rtol=1e-6)


def test_attention_merge_has_a_target_from_two_kept_on():
    response = [0.5, 0.3, 0.1, 0.06, 0.04]
    alone, kept = choice("attention_merge", frame(*AXES), 1, response)
    assert kept == [0]
    np.testing.assert_array_equal(alone.merge[0, 0], np.eye(5)[:1])
    found, kept = choice("attention_merge", frame(*AXES), 2, response)
    assert kept == [0, 3]  # of 1 to 4 the third
    np.testing.assert_allclose(found.merge[0, 0, 1], [0, 1 / 6, 1 / 6, 1 / 2, 1 / 6], rtol=1e-6)


def test_dpp_text_keeps_what_answers_and_not_twice():
    a, b, c, *_ = AXES
    tokens = frame(a, a, a + b, c, -a)
    kept = [choice("dpp_text", tokens, keep, query=a[None])[1] for keep in (1, 2, 3)]
    assert kept == [[0], [0, 2], [0, 2, 3]]
    assert choice("dpp_text", tokens, 1, query=c[None])[1] == [3]


def test_dpp_text_takes_the_largest_determinant_at_each_step():
    rng = np.random.default_rng(0)
    tokens, query = rng.normal(size=(1, 1, 10, 8)), rng.normal(size=(1, 8))
    x = tokens[0, 0] / np.linalg.norm(tokens[0, 0], axis=-1, keepdims=True)
    relevance = x @ query[0] / np.linalg.norm(query)
    relevance = (relevance - relevance.min()) / np.ptp(relevance)
    kernel = relevance[:, None] * (x @ x.T + 1e-3 * np.eye(10)) * relevance
    chosen, determinants = [], []
    for _ in range(6):
        gains = [
            0 if j in chosen else np.linalg.det(kernel[np.ix_([*chosen, j], [*chosen, j])])
            for j in range(10)
        ]
        chosen.append(int(np.argmax(gains)))
        determinants.append(max(gains))
        assert choice("dpp_text", tokens, len(chosen), query=query)[1] == sorted(chosen)
    scores = np.asarray(choice("dpp_text", tokens, 6, query=query)[0].scores[0, 0])
    np.testing.assert_allclose(np.cumprod(scores[chosen]), determinants, rtol=1e-3)


def test_temporal_keeps_what_is_rare_at_first_and_then_what_changes():
    a, b, c, d, _ = AXES
    clip = np.concatenate([frame(a, a, a, b), frame(a, a, c, b), frame(d, a, c, b)], axis=1)
    found = COMPILED["temporal"](clip, keep=1)
    assert pairs(found) == [(0, 3), (1, 2), (2, 0)]
    still = COMPILED["temporal"](np.repeat(clip[:, :1], 3, axis=1), keep=1)
    assert pairs(still) == [(0, 3), (1, 3), (2, 3)]  # where nothing moved, the rare one
    assert pairs(COMPILED["temporal"](clip[:, :1], keep=1)) == [(0, 3)]


def test_temporal_spends_where_something_changes_and_leaves_no_frame_out():
    a, b, c, d, e = AXES
    clip = [frame(a, a, a, b), frame(a, a, a, b), frame(c, d, e, b), frame(c, d, e, b)]
    found = COMPILED["temporal"](np.concatenate(clip, axis=1), keep=2)
    # of the first its own 2; of the others 6: the 3 that changed, and of each still one the rarest
    assert [t for t, _ in pairs(found)].count(0) == 2
    assert {(1, 3), (2, 0), (2, 1), (2, 2)} < set(pairs(found))
    assert any(t == 3 for t, _ in pairs(found))
    assert len(set(pairs(found))) == 8


def test_density_merge_averages_each_cluster_into_its_middle():
    tokens = on_a_circle(0, 1, 2, 3, 4, 90, 91, 92, 93, 94)
    found, kept = choice("density_merge", tokens, 2)
    assert kept == [2, 7]
    expected = np.zeros((2, 10))
    expected[0, :5] = expected[1, 5:] = 1 / 5
    np.testing.assert_allclose(found.merge[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["maxmin", "density_merge", "entropy"])
def test_of_copies_one_is_kept_before_any_is_kept_twice(name):
    a, b, c, d, _ = AXES
    kept = choice(name, frame(a, a, b, a, c, d, a), 4)[1]
    assert {2, 4, 5} < set(kept)
