"""AdamW, Adafactor and Muon over the mesh: where their states lie, and that they are one program.

The model is an embedding, three layers and a last map, wide enough for Adafactor to factor.
"""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from fewvid.errors import UserError
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten
from fewvid.parallel.sharding import place, shardings
from fewvid.training.limits import OPTIMIZERS, check_optimizer
from fewvid.training.optimizer import OPTIMIZERS as MADE
from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.stage import OptimizerConfig
from fewvid.training.step import make_program
from fewvid.training.trainable import select, split

WIDTH, WORDS, ROWS = 128, 160, 16
RULES = (
    ("decoder/embedding", jax.P("tensor", "fsdp")),
    (".*/out/kernel", jax.P("tensor", "fsdp")),
    (".*/kernel", jax.P("fsdp", "tensor")),
    (".*/bias", jax.P()),
)


def params():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return (rng.normal(size=shape) / WIDTH**0.5).astype(np.float32)

    layers = {
        "q": {"kernel": normal(3, WIDTH, 2 * WIDTH), "bias": np.zeros((3, 2 * WIDTH), "f")},
        "out": {"kernel": normal(3, 2 * WIDTH, WIDTH)},
    }
    return {
        "decoder": {"embedding": normal(WORDS, WIDTH), "layers": layers},
        "adapter": {"last": {"kernel": normal(WIDTH, WIDTH), "bias": np.zeros(WIDTH, "f")}},
    }


def batch():
    rng = np.random.default_rng(1)
    return {
        "tokens": rng.integers(0, WORDS, ROWS).astype(np.int32),
        "wanted": rng.normal(size=(ROWS, WIDTH)).astype(np.float32),
    }


def loss(params, batch, rng):
    x, last = params["decoder"]["embedding"][batch["tokens"]], params["adapter"]["last"]

    def layer(x, here):
        y = jnp.tanh(x @ here["q"]["kernel"] + here["q"]["bias"])
        return x + y @ here["out"]["kernel"], None

    x, _ = jax.lax.scan(layer, x, params["decoder"]["layers"])
    x = x @ last["kernel"] + last["bias"]
    value = ((x - batch["wanted"]) ** 2).mean()
    return value, {"loss": value}


def made(name, mesh, steps=30, **changes):
    config = OptimizerConfig(3e-3, weight_decay=0.1, schedule="constant", name=name, **changes)
    tree = params()
    layout, chosen = shardings(mesh, tree, RULES), select(tree, (".*",))
    program = make_program(
        loss, make_optimizer(config, steps), tree, layout, chosen, mesh, schedule(config, steps)
    )
    state = program.start(split(place(tree, layout), chosen)[0], jax.random.key(0))
    return program, state


def run(program, state, steps):
    losses = []
    for _ in range(steps):
        state, metrics = program.step(state, {}, batch())
        losses.append(float(metrics["loss"]))
    return state, losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns_and_eight_devices_step_as_one(name):
    losses, after = [], []
    for mesh in (make_mesh(2, 2, 2), make_mesh(devices=jax.devices()[:1])):
        program, state = made(name, mesh)
        state, first = run(program, state, 1)
        after.append(flatten(jax.device_get(state.trainable)))
        losses.append(first + run(program, state, 29)[1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-1] < 0.5 * losses[0][0]
    begun = flatten(params())
    for path, value in after[1].items():
        apart = np.abs(after[0][path] - value)
        # A gradient that sums to 0 but for rounding is a whole step to Adam, one way or the other.
        assert np.sort(apart.ravel())[-3] < 1e-5, path
        assert apart.max() < 3e-3, path
        moved = np.sqrt(np.mean((value - begun[path]) ** 2))
        if path != "decoder/embedding":  # of which most rows are not in the batch
            assert 1e-4 < moved < 6e-3, path  # one learning rate is good for all


def test_moments_lie_as_their_parameters():
    mesh = make_mesh(1, 4, 2)
    kernel = jax.P(None, "fsdp", "tensor")
    specs = {
        name: {
            jax.tree_util.keystr(at): leaf.sharding.spec
            for at, leaf in jax.tree_util.tree_leaves_with_path(made(name, mesh)[1].optimizer)
        }
        for name in OPTIMIZERS
    }

    def of(name, field, path="['decoder']['layers']['q']['kernel']"):
        (found,) = [spec for at, spec in specs[name].items() if at.endswith(f".{field}{path}")]
        return found

    assert of("adamw", "mu") == of("adamw", "nu") == of("muon", "mu") == kernel
    # [3,128,256]: what is left of the columns lies as the rows did, and the other way about
    assert of("adafactor", "v_row") == jax.P(None, "fsdp")
    assert of("adafactor", "v_col") == jax.P(None, "tensor")
    assert of("adafactor", "v") == jax.P()
    # Muon is for kernels: what AdamW has is the rest.
    assert of("muon", "nu", "['decoder']['embedding']") == jax.P("tensor", "fsdp")
    others = [at for at in specs["muon"] if ".nu" in at]
    assert len(others) == 3
    assert not any("kernel" in at for at in others)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_is_for_matrices_and_parts_have_rates_of_their_own(name):
    config = OptimizerConfig(
        0.1, weight_decay=0.5, schedule="constant", scale={"decoder": 0.25}, name=name
    )
    optimizer, tree = make_optimizer(config, 10), jax.tree.map(jnp.ones_like, params())
    nothing = jax.tree.map(jnp.zeros_like, tree)
    updates, _ = jax.jit(optimizer.update)(nothing, optimizer.init(tree), tree)
    for path, update in flatten(updates).items():
        decay = 0.0 if path.endswith("bias") else 0.05
        wanted = -decay * (0.25 if path.startswith("decoder") else 1.0)
        np.testing.assert_allclose(update, wanted, atol=1e-7, err_msg=path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_from_disk_it_goes_on_bit_for_bit(tmp_path, name):
    program, state = made(name, make_mesh(2, 2, 2))
    state, _ = run(program, state, 2)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", state)
        saver.wait_until_finished()
        back = saver.restore(tmp_path / "state", program.abstract)
    through, _ = run(program, state, 2)
    resumed, _ = run(program, back, 2)
    for a, b in zip(jax.tree.leaves(through), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names():
    assert tuple(MADE) == OPTIMIZERS
    with pytest.raises(UserError, match=r"x\.name is 'adamW', wanted .*Did you mean 'adamw'"):
        check_optimizer(OptimizerConfig(name="adamW"), 10, "x")
