"""Parts of a batch: the whole's gradient, whatever parts have to say, and who has which rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import batch_sharding, make_mesh, replicated
from fewvid.training import accumulation, recipes
from fewvid.training.plan import make_plan
from fewvid.training.stage import parse

MODEL = LvlmConfig.tiny()


def test_every_device_gives_of_its_own_rows():
    mesh = make_mesh(2, 4)
    rows = batch_sharding(mesh)
    batch = {"row": jnp.arange(32), "table": jnp.ones(3)}
    layout = {"row": rows, "table": replicated(mesh)}
    batch = jax.device_put(batch, layout)
    divide = jax.jit(lambda batch: accumulation.divided(batch, layout, 2))
    parts, shared = divide(batch)
    assert list(shared) == ["table"]
    np.testing.assert_array_equal(parts["row"][0], np.arange(0, 32, 2))
    for shard in parts["row"].addressable_shards:  # two rows of each part, of the four that it had
        own = next(s for s in batch["row"].addressable_shards if s.device == shard.device)
        assert set(np.ravel(shard.data)) == set(np.ravel(own.data))
    text = divide.lower(batch).compile().as_text()
    assert not any(kind in text for kind in ("all-gather", "all-to-all", "collective-permute"))


def test_a_part_counts_as_many_times_as_it_has_tokens():
    def differentiate(part, rng):
        tokens = part.sum()
        mean = (part * jnp.arange(4.0)).sum() / jnp.maximum(tokens, 1e-6)
        return {"w": mean}, {"loss": 2 * mean, "tokens": tokens}

    weights = jnp.array([[1.0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    mesh = make_mesh()
    gradients, metrics = jax.jit(
        lambda w: accumulation.mean(differentiate, w, jax.random.key(0), {"w": replicated(mesh)})
    )(weights)
    assert float(gradients["w"]) == pytest.approx((0 + 1 + 2 + 3 + 3) / 5)
    assert float(metrics["loss"]) == pytest.approx(2 * 9 / 5)
    assert float(metrics["tokens"]) == 5


def test_each_part_draws_its_own_random_numbers():
    def differentiate(part, rng):
        return {"w": jax.random.uniform(rng)}, {"tokens": jnp.ones(())}

    key, where = jax.random.key(3), {"w": replicated(make_mesh())}
    found = jax.jit(lambda x: accumulation.mean(differentiate, x, key, where))(jnp.zeros(2))
    drawn = [float(jax.random.uniform(jax.random.fold_in(key, part))) for part in range(2)]
    assert float(found[0]["w"]) == pytest.approx(sum(drawn) / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 0}, r"accumulate is 0, must be at least 1"),
        (
            {"accumulate": 3, "batch_size": 16},
            r"batch_size 16 does not divide into accumulate=3 parts over data=2 x fsdp=4; make it "
            r"a multiple of 24, or set accumulate to a divisor of 2",
        ),
    ],
)
def test_what_does_not_divide(changes, message):
    size = recipes.size("tiny")
    values = recipes.config([recipes.align(size)], start=size, chosen=size)
    values.stages[0].update(changes)
    shapes = jax.eval_shape(partial(lvlm.init, MODEL), jax.random.key(0))
    with pytest.raises(UserError, match=message):
        make_plan(parse(values).stages, MODEL, shapes, make_mesh(2, 4))
