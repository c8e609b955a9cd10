"""Runs trained together are the runs trained alone, on the clips and questions that are theirs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.data.shapes import World
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.models import lvlm
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)
from fewvid.studies.bank import Register
from fewvid.studies.corpus import drawn, encoded, thinned, with_pixels
from fewvid.studies.exam import ask_all
from fewvid.studies.trial import Data, Program, Runs, train
from fewvid.training.stage import OptimizerConfig

MODEL = LvlmConfig(
    EncoderConfig(patch_size=16, width=16, depth=1, heads=2, mlp_width=16),
    SamplerConfig(),
    AdapterConfig(queries="tokens", width=16, heads=2, change=True),
    DecoderConfig(vocab_size=256, width=16, depth=1, heads=2, kv_heads=1, head_dim=8, mlp_width=16),
)
CLIPS = 12


@pytest.fixture(scope="module")
def world():
    register = Register()
    clips = drawn(World(100, 100), "train", "video", CLIPS, register)
    pictures = drawn(World(100, 100), "train", "image", 8, register)
    chat = Chat(train_tokenizer(register.texts(), 256))
    return register, thinned(clips, 3), pictures, chat, register.bank(chat)


@pytest.fixture(scope="module")
def params():
    return lvlm.init(MODEL, jax.random.key(0))


def program(chat, **changes):
    made = Program(
        model=MODEL,
        keep=(2,),
        sampler="attention",
        clips=3,
        pictures=2,
        questions=2,
        steps=4,
        trainable=("adapter/.*", "decoder/.*"),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        bos=chat.bos,
        visual=chat.visual,
        quick=True,
    )
    return dataclasses.replace(made, **changes)


def runs(seeds, questions, *, length=CLIPS, count=CLIPS, start=0, weight=None):
    many = len(seeds)
    whole = np.ones((many, questions), np.float32)
    return Runs(
        key=jnp.stack([jax.random.key(seed) for seed in seeds]),
        start=jnp.full(many, start),
        length=jnp.full(many, length),
        first=jnp.zeros(many, jnp.int32),
        count=jnp.full(many, count),
        picture_weight=jnp.ones(many),
        question_weight=jnp.asarray(whole if weight is None else whole * weight),
    )


def stacked(params, many):
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * many), params)


def equal(one, other, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, other)


def test_runs_together_are_the_runs_alone(world, params):
    register, clips, pictures, chat, bank = world
    data = Data(*(encoded(part, MODEL, params, jnp.float32) for part in (clips, pictures)), bank)
    count, seen = len(register.questions), []
    both = train(
        program(chat),
        stacked(params, 2),
        runs([3, 4], count),
        data,
        lambda step, metrics: seen.append((step, metrics)),
    )
    alone = train(program(chat), stacked(params, 1), runs([4], count), data)
    # Where a gradient is 0 but for rounding (a bias of keys), Adam makes a step of the rounding.
    equal(jax.tree.map(lambda leaf: leaf[1:], both), alone, rtol=0, atol=2e-3)
    one, other = both["adapter"]["q"]["kernel"]
    assert np.abs(one - other).max() > 1e-2
    equal(jax.tree.map(lambda leaf: leaf[0], both)["encoder"], params["encoder"], rtol=0)
    assert [step for step, _ in seen] == [4]
    assert 0 < seen[0][1]["loss"] < 10


def test_a_run_sees_its_own_clips_alone(world, params):
    register, clips, _, chat, bank = world
    corpus = encoded(clips, MODEL, params, jnp.float32)
    beyond = np.arange(CLIPS)[:, None, None, None] >= 4
    poisoned = corpus._replace(tokens=jnp.where(beyond, jnp.nan, corpus.tokens))
    few = {"length": 6, "count": 2, "start": 2}  # clips 2 and 3
    found = train(
        program(chat, pictures=0),
        stacked(params, 1),
        runs([0], len(register.questions), **few),
        Data(poisoned, None, bank),
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_the_encoder_can_train_and_k_can_be_drawn(world, params):
    register, clips, pictures, chat, bank = world
    found = train(
        program(
            chat,
            keep=(1, 4),
            trainable=("encoder/norm/.*", "encoder/layers/.*@-3:", "adapter/.*"),
            steps=3,
        ),
        stacked(params, 1),
        runs([0], len(register.questions)),
        Data(with_pixels(clips), with_pixels(pictures), bank),
    )
    moved = [np.abs(found[part]["norm" if part == "encoder" else "norm_in"]["bias"]).max()
             for part in ("encoder", "adapter")]  # fmt: skip
    assert min(moved) > 0
    equal(jax.tree.map(lambda leaf: leaf[0], found["decoder"]), params["decoder"], rtol=0)


@pytest.mark.parametrize("sampler", ["attention", "dpp_text"])
def test_an_exam_asks_what_a_chat_would(world, params, sampler):
    """The likeliest valid answer by the exam is that of each question put to the model alone."""
    _, clips, _, chat, bank = world
    corpus = encoded(clips, MODEL, params, jnp.float32)
    asking = program(chat, sampler=sampler)
    right = ask_all(asking, stacked(params, 2), corpus, bank)
    assert right.shape == (2, *corpus.asked.shape)
    np.testing.assert_array_equal(right[0], right[1])
    by_hand = jax.jit(
        lambda clip, number: _alone(params, corpus, bank, chat, sampler, clip, number)
    )
    for clip, place in ((0, 0), (3, 2), (11, 4)):
        number = int(corpus.asked[clip, place])
        assert bool(by_hand(clip, number)) == right[0, clip, place]


def _alone(params, corpus, bank, chat, sampler, clip, number):
    """The same answer from one row that holds one question, by the pipeline's own functions."""
    size = bank.ids.shape[1]
    prefix = jnp.array([chat.bos, *[chat.visual] * 6])
    tokens = jnp.concatenate([prefix, bank.ids[number]])[None]
    asks = 7 + bank.asks[number]
    at = jnp.arange(7 + size)
    segments = jnp.where(at < 7, 1, jnp.where(at < asks, 2, 0))[None]
    batch = {
        "feature_tokens": corpus.tokens[clip][None],
        "feature_response": corpus.response[clip][None],
        "times": corpus.times[None],
        "tokens": tokens,
        "segments": segments,
        "positions": at[None],
        "answer_positions": asks[None, None] - 1,
        "answer_weights": jnp.zeros((1, 1)),
    }
    options = {"keep": 2, "sampler": sampler, "rng": jax.random.key(0), "visual_id": chat.visual}
    logits = lvlm.answer_logits(MODEL, params, batch, **options)[0, 0]
    valid = bank.valid[number]
    return (
        jnp.where(valid < 0, -jnp.inf, logits[jnp.maximum(valid, 0)]).argmax() == bank.right[number]
    )
