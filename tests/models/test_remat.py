"""What is worked out again changes memory and nothing else."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from fewvid.models import lvlm, remat
from fewvid.models.config import LvlmConfig
from fewvid.models.dense import A, B, Dense
from fewvid.parallel.paths import flatten

TINY = LvlmConfig.tiny()
CONFIG = dataclasses.replace(TINY, decoder=dataclasses.replace(TINY.decoder, depth=6))
ROWS, LENGTH, WIDE = 2, 128, 24


def batch():
    ids = np.random.default_rng(0).integers(5, 256, (ROWS, LENGTH), np.int32)
    at = np.tile(np.arange(40, 60, dtype=np.int32), (ROWS, 1))
    return {
        "tokens": ids,
        "segments": np.ones_like(ids),
        "positions": np.tile(np.arange(LENGTH, dtype=np.int32), (ROWS, 1)),
        "answer_positions": at,
        "answer_tokens": np.take_along_axis(ids, at + 1, 1),
        "answer_weights": np.ones(at.shape, np.float32),
    }


@pytest.fixture(scope="module")
def compiled():
    shapes = jax.eval_shape(partial(lvlm.init, CONFIG), jax.random.key(0))
    return {
        name: jax.jit(
            jax.grad(partial(lvlm.loss, CONFIG, remat=name), has_aux=True, allow_int=True)
        )
        .lower(shapes, batch())
        .compile()
        for name in remat.NAMES
    }


def test_gradients_are_the_same(compiled):
    params = jax.jit(partial(lvlm.init, CONFIG))(jax.random.key(0))
    found = {name: flatten(run(params, batch())[0]) for name, run in compiled.items()}
    for name in ("full", "products"):
        for path, value in found["none"].items():
            np.testing.assert_allclose(found[name][path], value, atol=1e-6, err_msg=path)


def test_memory_falls_in_their_order(compiled):
    bytes_of = {n: run.memory_analysis().temp_size_in_bytes for n, run in compiled.items()}
    assert bytes_of["full"] < bytes_of["products"] < bytes_of["none"]


class Two(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Dense(WIDE, name="two")(nn.silu(Dense(WIDE, name="one")(x)))


def kept(params, x):
    """How often as many numbers as an output has are kept for the way back, by `products`."""
    layer = remat.rematerialised(Two, "products")()
    _, back = jax.vjp(lambda params: layer.apply({"params": params}, x), params)
    return [leaf.shape for leaf in jax.tree.leaves(back)].count((ROWS, LENGTH, WIDE))


def test_products_keep_nothing_of_lora():
    x = jax.numpy.ones((ROWS, LENGTH, 8))
    params = Two().init(jax.random.key(0), x)["params"]
    grown = {
        name: own | {A: jax.numpy.ones((own["kernel"].shape[0], 2)), B: jax.numpy.ones((2, WIDE))}
        for name, own in params.items()
    }
    assert kept(grown, x) == kept(params, x) == 1  # of the first; nothing needs the last again
