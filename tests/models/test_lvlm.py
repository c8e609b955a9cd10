"""The whole model: packed turns, what frames and times do, gradients, bfloat16."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.data.batches import pack_row, stack
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig

FRAMES, KEPT = 3, 4
TURNS = [[([10, 11], [20, 2])], [([12, 13, 14], [21, 2])], [([10, 15], [22, 23, 2])]]


@pytest.fixture(scope="module")
def config():
    tiny = LvlmConfig.tiny()
    adapter = dataclasses.replace(AdapterConfig.tiny(), queries="tokens", change=True)
    return dataclasses.replace(tiny, adapter=adapter, sampler=SamplerConfig(keep=KEPT))


@pytest.fixture(scope="module")
def params(random_params, config):
    return random_params(config)


@pytest.fixture(scope="module")
def answer(config, params):
    return partial(jax.jit(partial(lvlm.answer_logits, config)), params)


def batch_of(turn_lists, pixels, times):
    prefix = [1] + [4] * FRAMES * KEPT
    rows = [pack_row(prefix, turns, 40, 8).row for turns in turn_lists]
    return stack(rows) | {"pixels": pixels, "times": times}


@pytest.fixture(scope="module")
def clip():
    """One clip, as often as asked for."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, FRAMES, 32, 32, 3), np.uint8)
    times = np.array([[0, 0.5, 1]], np.float32)
    return lambda count: (np.repeat(pixels, count, 0), np.repeat(times, count, 0))


def test_packed_turns_answer_as_each_question_alone(answer, clip):
    packed = batch_of([TURNS, TURNS[::-1], TURNS[1:], TURNS[:1]], *clip(4))
    alone = np.asarray(answer(batch_of([[turn] for turn in [*TURNS, TURNS[0]]], *clip(4))))
    first, backwards, two, _ = np.asarray(answer(packed))
    close = partial(np.testing.assert_allclose, atol=1e-5)
    close(first[:7], np.concatenate([alone[0, :2], alone[1, :2], alone[2, :3]]))
    close(backwards[:7], np.concatenate([alone[2, :3], alone[1, :2], alone[0, :2]]))
    close(two[:5], np.concatenate([alone[1, :2], alone[2, :3]]))


def test_the_order_of_frames_and_their_times_matter(answer, clip):
    pixels, times = clip(4)
    pixels, times = pixels.copy(), times.copy()
    pixels[1] = pixels[1, ::-1]
    times[2] *= 2
    plain, turned, slower, same = np.asarray(answer(batch_of([TURNS] * 4, pixels, times)))
    assert np.abs(turned - plain)[:7].max() > 1e-2
    assert np.abs(slower - plain)[:7].max() > 1e-2
    np.testing.assert_array_equal(same, plain)


def test_the_nth_placeholder_reads_the_nth_visual_token():
    x, visual = np.zeros((2, 5, 1), np.float32), np.array([[[7.0], [8], [9]]] * 2, np.float32)
    is_visual = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]], bool)
    placed = np.asarray(lvlm.place(x, visual, is_visual))[..., 0]
    assert placed.tolist() == [[0, 7, 8, 0, 9], [7, 0, 0, 0, 0]]


def test_loss_counts_answer_tokens_only_and_its_gradients_reach_all_parts(
    config, params, answer, clip
):
    batch = batch_of([TURNS, TURNS[:1], TURNS[1:], TURNS], *clip(4))
    both = jax.jit(jax.value_and_grad(partial(lvlm.loss, config), has_aux=True))
    (value, metrics), grad = both(params, batch)
    logits = np.asarray(answer(batch))
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = np.take_along_axis(chances, batch["answer_tokens"][..., None], -1)[..., 0]
    weight = batch["answer_weights"]
    assert metrics["tokens"] == weight.sum() == 7 + 2 + 5 + 7
    np.testing.assert_allclose(value, -(np.log(right) * weight).sum() / 21, rtol=1e-4)
    hits = (logits.argmax(-1) == batch["answer_tokens"]) * weight
    np.testing.assert_allclose(metrics["accuracy"], hits.sum() / 21, atol=1e-6)

    assert all(np.isfinite(x).all() for x in jax.tree.leaves(grad))
    largest = {
        name: max(np.abs(x).max() for x in jax.tree.leaves(part))
        for name, part in grad["adapter"].items()
    }
    assert all(largest[name] > 1e-6 for name in ("q", "k", "v", "change", "place", "time"))
    layers = grad["encoder"]["layers"]
    assert all((layers[f"attention_{n}"]["kernel"] != 0).any() for n in "qkv")


def test_bfloat16_is_close_to_float32(config, params, answer, clip):
    batch = batch_of([TURNS] * 4, *clip(4))
    # remat is for training large models: it must change nothing but memory
    options = {"dtype": jnp.bfloat16, "remat": "full"}
    half = jax.jit(partial(lvlm.answer_logits, config, **options))(params, batch)
    assert half.dtype == jnp.float32
    whole = np.asarray(answer(batch))
    assert np.abs(half - whole)[:, :7].mean() < 0.2 * whole.std()


def test_cached_features_answer_as_the_pixels_do(config, params, answer, clip):
    batch = batch_of([TURNS] * 4, *clip(4))
    whole = answer(batch)
    found = jax.jit(partial(lvlm.encode, config))(params, batch.pop("pixels"))
    cached = batch | {"feature_tokens": found.tokens, "feature_response": found.response}
    np.testing.assert_allclose(answer(cached), whole, atol=1e-5)


def test_one_turn_a_row_needs_no_mask(config, params, clip):
    """Rows of different lengths, padded: the same answers, and the same gradients."""
    batch = batch_of([TURNS[:1], TURNS[2:], TURNS[1:2]], *clip(3))

    def value(params, packed):
        return lvlm.loss(config, params, batch, packed=packed)[0]

    (one, slope), (other, slope_too) = (
        jax.jit(jax.value_and_grad(value), static_argnums=1)(params, packed)
        for packed in (True, False)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(slope_too), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
