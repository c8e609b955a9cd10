"""The schedule's numbers, and what weight decay leaves alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.stage import OptimizerConfig


def rates(steps, **changes):
    rate = schedule(OptimizerConfig(learning_rate=2.0, **changes), steps)
    return [float(rate(step)) for step in range(steps + 1)]


def test_cosine_after_warmup():
    assert rates(6, warmup=2) == pytest.approx([0, 1, 2, 1.7071, 1, 0.2929, 0], abs=1e-4)


def test_without_warmup_it_begins_at_the_top():
    assert rates(2)[0] == 2.0
    assert rates(2, schedule="constant") == [2.0] * 3


def test_constant_after_warmup():
    assert rates(3, warmup=2, schedule="constant") == [0, 1, 2, 2]


def test_decay_is_for_matrices():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5, schedule="constant")
    optimizer = make_optimizer(config, 10)
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones((2, 2))}
    nothing = {name: jnp.zeros_like(value) for name, value in params.items()}
    updates, _ = optimizer.update(nothing, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_a_part_learns_at_its_own_rate():
    config = OptimizerConfig(learning_rate=0.1, schedule="constant", scale={"decoder": 0.25})
    optimizer = make_optimizer(config, 10)
    params = {part: {"kernel": jnp.ones((2, 2))} for part in ("adapter", "decoder")}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    adapter, decoder = (updates[part]["kernel"] for part in ("adapter", "decoder"))
    assert float(abs(adapter).min()) > 0.05
    np.testing.assert_allclose(decoder, 0.25 * adapter, rtol=1e-6)
