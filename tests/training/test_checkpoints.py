"""A checkpoint brings back state and place in the data, and refuses what does not fit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewvid.data.share import Batches
from fewvid.errors import UserError
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training.checkpoints import StageCheckpoints, sums
from fewvid.training.step import make_program

PARAMS = {"decoder": {"head": np.ones((4, 2), np.float32)}}


def program(params=PARAMS):
    mesh = make_mesh(2, 2, 2)
    loss = lambda p, batch, rng: ((p["decoder"]["head"] ** 2).sum(), {})  # noqa: E731
    layout = shardings(mesh, params)
    return make_program(loss, optax.adam(1e-2), params, layout, {"decoder/head": None}, mesh)


def data():
    return Batches(lambda first: iter_of(range(first, 100)))


class iter_of:
    def __init__(self, numbers):
        self._numbers = iter(numbers)

    def __next__(self):
        return next(self._numbers)

    def close(self):
        pass


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
    restored = again.restore(made.abstract, fresh, {"a": (1, 2)}, print)
    assert type(restored.optimizer) is type(state.optimizer)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), expected)
    assert restored.trainable["decoder"]["head"].sharding.spec == jax.P("fsdp", "tensor")
    assert next(fresh) == follows
    stepped, _ = made.step(restored, {}, batch)
    assert int(stepped.step) == 2
    with pytest.raises(UserError, match=r"another config .config\.a\[1\]: 2 -> 3"):
        again.restore(made.abstract, data(), {"a": (1, 3)}, print)
    wider = program({"decoder": {"head": np.ones((4, 6), np.float32)}})
    with pytest.raises(UserError, match=r"decoder/head is \(4, 2\), wanted \(4, 6\)"):
        again.restore(wider.abstract, data(), {"a": (1, 2)}, print)
    again.delete()
    assert not (tmp_path / "c").exists()


def saved(tmp_path, made, steps=(1, 2)):
    checkpoints, taken = StageCheckpoints(tmp_path / "c"), data()
    state = made.start(PARAMS, jax.random.key(7))
    for step in steps:
        next(taken)
        state, _ = made.step(state, {}, {"x": jnp.zeros(8)})
        checkpoints.save(step, state, taken, {})
    checkpoints.close()


def lost(folder):
    (folder / "_METADATA").unlink()


def cut(folder):
    for file in folder.rglob("d/*"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_bits(folder):
    sums = folder.parent / "sums" / "metadata"
    changed = json.loads(sums.read_text())
    changed["trainable/decoder/head"] += 1
    sums.write_text(json.dumps(changed))


def no_place(folder):
    (folder.parent / "data" / "metadata").write_text("{")


@pytest.mark.parametrize("damage", [lost, cut, other_bits, no_place])
def test_a_damaged_one_is_put_aside_and_the_one_before_it_used(tmp_path, damage):
    made, said, place = program(), [], data()
    saved(tmp_path, made)
    damage(tmp_path / "c" / "2" / "state")
    again = StageCheckpoints(tmp_path / "c")
    state = again.restore(made.abstract, place, {}, said.append)
    assert int(state.step) == 1
    assert place.get_state() == {"batches": 1}
    (line,) = said
    assert line.startswith(f"checkpoint {tmp_path}/c/2 is damaged, or of another version (")
    assert again.latest() == 1
    assert (tmp_path / "c" / "2.damaged").is_dir()  # nothing is lost
    again.save(2, state, place, {})
    again.close()
    assert (tmp_path / "c" / "2").exists()


def test_none_is_left_where_all_are_damaged(tmp_path):
    made, said = program(), []
    saved(tmp_path, made)
    for step in (1, 2):
        cut(tmp_path / "c" / str(step) / "state")
    again = StageCheckpoints(tmp_path / "c")
    assert again.restore(made.abstract, data(), {}, said.append) is None
    assert len(said) == 2


def test_sums_see_one_bit_and_no_mesh():
    tree = {"a": np.arange(8, dtype=np.float32), "b": np.ones(4, np.float16)}
    flipped = tree["a"].copy()
    flipped.view(np.uint32)[3] ^= 1
    there = jax.device_put(tree, jax.NamedSharding(make_mesh(), jax.P()))
    assert sums(tree) == sums(there) != sums(tree | {"a": flipped})
