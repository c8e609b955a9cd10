"""What is worked out again changes memory and nothing else."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.models import lvlm, remat
from fewvid.models.config import LvlmConfig
from fewvid.parallel.paths import flatten

TINY = LvlmConfig.tiny()
CONFIG = dataclasses.replace(TINY, decoder=dataclasses.replace(TINY.decoder, depth=6))
ROWS, LENGTH = 2, 128


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
