"""What the keys of a run make of its steps: the type that is computed in, and what is held."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training import recipes
from fewvid.training import trainable as subtree
from fewvid.training.plan import make_plan
from fewvid.training.stage import parse
from fewvid.training.stage_programs import stage_programs

MODEL = LvlmConfig.tiny()


def values(**changes):
    size = recipes.size("tiny")
    config = recipes.config([recipes.pretrain(size)], start=size, chosen=size)
    config.update(changes)
    return config


def two_steps(**changes):
    run, mesh = parse(values(**changes)), make_mesh(devices=jax.devices()[:1])
    params = jax.jit(partial(lvlm.init, MODEL))(jax.random.key(0))
    (plan,) = make_plan(run.stages, MODEL, params, mesh)
    (program,) = stage_programs(plan, run, MODEL, params, shardings(mesh, params), 4, mesh).values()
    trained, frozen = subtree.split(params, plan.trainable)
    state, losses = program.start(trained, jax.random.key(1)), []
    for _ in range(2):
        state, metrics = program.step(state, frozen, batch(plan.shape))
        losses.append(float(metrics["loss"]))
    return state, losses


def batch(shape):
    rng = np.random.default_rng(0)
    rows, length = shape.batch_size, shape.length
    tokens = rng.integers(5, 256, (rows, length), np.int32)
    tokens[:, 1 : 1 + shape.visual_tokens(shape.frames)] = 4
    at = np.tile(np.arange(length - shape.answers - 1, length - 1, dtype=np.int32), (rows, 1))
    side = shape.image_size
    return {
        "pixels": rng.integers(0, 256, (rows, shape.frames, side, side, 3), np.uint8),
        "times": np.zeros((rows, shape.frames), np.float32),
        "tokens": tokens,
        "segments": np.ones_like(tokens),
        "positions": np.tile(np.arange(length, dtype=np.int32), (rows, 1)),
        "answer_positions": at,
        "answer_tokens": np.take_along_axis(tokens, at + 1, 1),
        "answer_weights": np.ones(at.shape, np.float32),
    }


def test_bfloat16_computes_near_float32_and_keeps_float32():
    _, whole = two_steps()
    state, half = two_steps(compute_dtype="bfloat16", remat="full")
    assert half != whole
    assert half == pytest.approx(whole, rel=0.01)
    floats = [x.dtype for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compute_dtype": "bfloat"}, "config.compute_dtype is 'bfloat'.*Did you mean 'bfloat16'"),
        ({"remat": "all"}, "config.remat is 'all', wanted one of none, full, products"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(UserError, match=message):
        parse(values(**changes))
