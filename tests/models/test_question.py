"""The question as a sampler takes it: out of a batch without its answers, and what it decides."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.data.batches import pack_row, stack
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig

FRAMES, KEPT = 2, 2
PREFIX = [1] + [4] * FRAMES * KEPT + [30, 31]  # a system text is no question
CONVERSATION = [([10, 11], [20, 2]), ([12], [21, 22, 2])]
ONE = [([13, 14], [23, 2])]


@pytest.fixture(scope="module")
def config():
    adapter = dataclasses.replace(AdapterConfig.tiny(), queries="tokens")
    sampler = SamplerConfig(name="dpp_text", keep=KEPT)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)


@pytest.fixture(scope="module")
def params(random_params, config):
    return random_params(config)


def batch_of(*rows):
    pixels = np.random.default_rng(0).integers(0, 256, (1, FRAMES, 32, 32, 3), np.uint8)
    packed = stack([pack_row(PREFIX, row, 24, 8).row for row in rows])
    times = np.zeros((len(rows), FRAMES), np.float32)
    return packed | {"pixels": np.repeat(pixels, len(rows), 0), "times": times}


def test_a_batch_s_questions_are_all_of_a_row_and_none_of_their_answers(params):
    batch = batch_of([CONVERSATION, ONE], [ONE])
    asked = np.asarray(lvlm.asked_in(batch))
    assert [batch["tokens"][i][asked[i]].tolist() for i in (0, 1)] == [
        [10, 11, 12, 13, 14],
        [13, 14],
    ]
    words = params["decoder"]["embedding"]
    expected = [words[[10, 11, 12, 13, 14]].mean(0), words[[13, 14]].mean(0)]
    np.testing.assert_allclose(lvlm.ask(params, batch["tokens"], asked), expected, atol=1e-6)
    nothing = lvlm.ask(params, batch["tokens"], np.zeros_like(asked))
    np.testing.assert_array_equal(nothing, np.zeros((2, 32)))  # a row of nothing is no error


def test_the_answer_does_not_choose_what_is_kept(config, params):
    """Before its first word nothing is known of it, so that no answer moves the logits there."""
    others = [([10, 11], [29, 28, 27, 2])]
    asked_else = [([15, 16], [20, 2])]
    first = [([10, 11], [20, 2])]
    batch = batch_of([first], [others], [asked_else])
    query = np.asarray(lvlm.ask(params, batch["tokens"], lvlm.asked_in(batch)))
    np.testing.assert_array_equal(query[0], query[1])
    assert np.abs(query[0] - query[2]).max() > 0.1
    logits = jax.jit(partial(lvlm.answer_logits, config))(params, batch)
    np.testing.assert_allclose(logits[0, 0], logits[1, 0], atol=1e-5)


def test_the_question_of_a_batch_is_that_which_is_given_alone(config, params):
    batch = batch_of([ONE])
    found = jax.jit(partial(lvlm.encode, config))(params, batch["pixels"])
    query = lvlm.ask(params, np.array([[13, 14, -1]]), np.array([[True, True, False]]))
    seen = partial(lvlm.see, config, params, found, batch["times"])
    kept = {name: seen(query=q).tokens for name, q in (("this", query), ("other", -query))}
    hidden, _ = lvlm.forward(config, params, batch)
    read = partial(lvlm.Lvlm(config).apply, {"params": params}, method="read")
    mask = lvlm.segment_mask(batch["segments"])
    for name, tokens in kept.items():
        given = (tokens, batch["tokens"], batch["positions"], mask, batch["tokens"] == 4, None)
        same = np.abs(read(*given)[0] - hidden)[0, : len(PREFIX)].max() < 1e-4
        assert same == (name == "this")


def test_training_by_the_question_has_gradients(config, params):
    batch = batch_of([CONVERSATION, ONE], [ONE])
    both = jax.jit(jax.value_and_grad(partial(lvlm.loss, config), has_aux=True))
    (value, _), gradient = both(params, batch)
    assert np.isfinite(value)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert np.abs(gradient["adapter"]["v"]["kernel"]).max() > 1e-6


def test_without_answers_nobody_knows_what_is_a_question(config, params):
    batch = {k: v for k, v in batch_of([ONE]).items() if not k.startswith("answer")}
    with pytest.raises(UserError, match="'dpp_text' needs the question's embedding"):
        lvlm.forward(config, params, batch)


def test_what_says_the_question_is_kept(random_params, features):
    """Without attention an output is what its token says: as a question it keeps that token."""
    config = LvlmConfig.tiny()
    adapter = dataclasses.replace(config.adapter, queries="mlp")
    config = dataclasses.replace(config, adapter=adapter)
    params, still = random_params(config), np.zeros((2, 3), np.float32)
    see = jax.jit(partial(lvlm.see, config, sampler="dpp_text"), static_argnames="keep")
    said = np.asarray(see(params, features, still).tokens)
    for frame, token in ((0, 3), (2, 11)):
        found = see(params, features, still, keep=1, query=said[:, frame, token])
        assert found.selection.indices[:, frame, 0].tolist() == [token, token]
