"""The step's bookkeeping, on a model that is one matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.parallel.mesh import make_mesh
from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.stage import OptimizerConfig
from fewvid.training.step import make_program
from fewvid.training.trainable import merge, split

PARAMS = {"layers": {"kernel": np.ones((4, 2, 2), np.float32)}}
TRAINABLE = {"layers/kernel": (1, 4)}
RULES = ((".*", jax.P()),)


def loss(params, batch, rng):
    noise = jax.random.uniform(rng)
    return (params["layers"]["kernel"] * batch["x"].mean()).sum(), {"loss": noise}


def program(mesh, config):
    from fewvid.parallel.sharding import shardings

    layout = shardings(mesh, PARAMS, RULES)
    return make_program(
        loss, make_optimizer(config, 4), PARAMS, layout, TRAINABLE, mesh, schedule(config, 4)
    )


def test_only_the_rows_move_and_randomness_is_the_step_s():
    mesh = make_mesh()
    made = program(mesh, OptimizerConfig(0.1, weight_decay=0.5, schedule="constant"))
    trained, frozen = split(jax.tree.map(jnp.asarray, PARAMS), TRAINABLE)
    key, batch, seen = jax.random.key(3), {"x": jnp.ones(8)}, []
    state = made.start(trained, key)
    assert state.optimizer[1][0].mu["layers"]["kernel"].shape == (3, 2, 2)
    for _ in range(2):
        state, metrics = made.step(state, frozen, batch)
        seen.append(jax.device_get(metrics))
    assert int(state.step) == 2
    expected = [float(jax.random.uniform(jax.random.fold_in(key, step))) for step in (0, 1)]
    assert [float(m["loss"]) for m in seen] == pytest.approx(expected)
    assert float(seen[0]["gradient_norm"]) == pytest.approx(np.sqrt(12))
    assert float(seen[0]["learning_rate"]) == pytest.approx(0.1)
    kernel = merge(state.trainable, frozen, TRAINABLE)["layers"]["kernel"]
    np.testing.assert_array_equal(kernel[0], 1.0)
    np.testing.assert_allclose(kernel[1:], 1 - 0.15 - 0.1 - 0.5 * 0.1 * 0.85, rtol=1e-5)


def test_a_batch_that_does_not_divide_raises():
    from fewvid.training.loop import to_devices

    with pytest.raises(ValueError, match="8"):
        to_devices({"x": np.ones(6)}, make_mesh())
