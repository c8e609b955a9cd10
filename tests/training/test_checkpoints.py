"""A checkpoint brings back state and place in the data, and refuses what does not fit."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewvid.errors import UserError
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training.checkpoints import StageCheckpoints
from fewvid.training.step import make_program

PARAMS = {"decoder": {"head": np.ones((4, 2), np.float32)}}


def program(params=PARAMS):
    mesh = make_mesh(2, 2, 2)
    loss = lambda p, batch, rng: ((p["decoder"]["head"] ** 2).sum(), {})  # noqa: E731
    layout = shardings(mesh, params)
    return make_program(loss, optax.adam(1e-2), params, layout, {"decoder/head": None}, mesh)


def data():
    return iter(grain.MapDataset.range(100).seed(3).shuffle().to_iter_dataset())


def test_restores_state_and_data(tmp_path):
    made, batch = program(), {"x": jnp.zeros(8)}
    state = made.start(PARAMS, jax.random.key(7))
    state, _ = made.step(state, {}, batch)
    taken = data()
    for _ in range(3):
        next(taken)
    checkpoints = StageCheckpoints(tmp_path / "c")
    assert checkpoints.latest() is None
    checkpoints.save(1, state, taken, {"a": (1, 2)})
    checkpoints.save(1, state, taken, {"a": (1, 2)})  # no second time, and no error
    checkpoints.close()
    expected, follows = jax.device_get(state), next(taken)

    again, fresh = StageCheckpoints(tmp_path / "c"), data()
    assert again.latest() == 1
    restored = again.restore(made.abstract, fresh, {"a": (1, 2)})
    assert type(restored.optimizer) is type(state.optimizer)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), expected)
    assert restored.trainable["decoder"]["head"].sharding.spec == jax.P("fsdp", "tensor")
    assert next(fresh) == follows
    stepped, _ = made.step(restored, {}, batch)
    assert int(stepped.step) == 2
    with pytest.raises(UserError, match=r"another config: config\.a\[1\]: 2 -> 3"):
        again.restore(made.abstract, data(), {"a": (1, 3)})
    wider = program({"decoder": {"head": np.ones((4, 6), np.float32)}})
    with pytest.raises(UserError, match=r"decoder/head is \(4, 2\), wanted \(4, 6\)"):
        again.restore(wider.abstract, data(), {"a": (1, 2)})
    again.delete()
    assert not (tmp_path / "c").exists()
