"""A step that is no number or a spike changes nothing but its counts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training.guard import SETTLED
from fewvid.training.step import make_program

PARAMS = {"decoder": {"head": np.ones((4, 2), np.float32)}}


def program(spike=0.0):
    def loss(params, batch, rng):
        return (params["decoder"]["head"] * batch["x"].mean()).sum(), {}

    mesh, optimizer = make_mesh(), optax.sgd(optax.linear_schedule(0.1, 0.0, 100))
    layout, chosen = shardings(mesh, PARAMS), {"decoder/head": None}
    rate = optax.linear_schedule(0.1, 0.0, 100)
    return make_program(loss, optimizer, PARAMS, layout, chosen, mesh, rate, spike=spike)


def steps(made, values, state=None):
    state, seen = state or made.start(PARAMS, jax.random.key(0)), []
    for value in values:
        state, metrics = made.step(state, {}, {"x": jnp.full(8, value)})
        seen.append(jax.device_get(metrics))
    return state, seen


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_as_if_it_had_not_been(bad):
    made = program()
    state, seen = steps(made, [1.0, bad, bad, 2.0])
    plain, _ = steps(made, [1.0, 2.0])
    assert [int(m["skipped"]) for m in seen] == [0, 1, 2, 2]
    assert [int(m["skipped_in_a_row"]) for m in seen] == [0, 1, 2, 0]
    assert int(state.step) == 4
    np.testing.assert_array_equal(*[s.trainable["decoder"]["head"] for s in (state, plain)])
    assert int(state.optimizer[1].count) == int(plain.optimizer[1].count) == 2
    assert float(seen[-1]["learning_rate"]) == pytest.approx(0.099)  # of the second update


def test_a_spike_is_one_once_the_mean_has_settled():
    few = [1.0] * (SETTLED - 1)
    _, early = steps(program(spike=5.0), [*few, 6.0])
    assert int(early[-1]["skipped"]) == 0
    made = program(spike=5.0)
    state, late = steps(made, [*few, 1.0, 6.0, 4.9])
    assert [int(m["skipped"]) for m in late[-2:]] == [1, 1]
    assert int(state.guard.taken) == SETTLED + 1
    _, never = steps(program(), [*few, 1.0, 1e6])
    assert int(never[-1]["skipped"]) == 0
