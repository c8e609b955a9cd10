"""Activations stay with their rows where the weights are split over the same devices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.models.spread import rows_on, spread
from fewvid.parallel.collectives import sent
from fewvid.parallel.mesh import batch_sharding, make_mesh

ROWS, WIDTH = 64, 32


def compiled(mesh, held):
    rows = batch_sharding(mesh)

    def product(x, weight):
        if not held:
            return spread(x @ weight)
        with rows_on(rows):
            return spread(x @ weight)

    where = rows, NamedSharding(mesh, P("fsdp"))
    shapes = (ROWS, WIDTH), (WIDTH, WIDTH)
    given = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=at)
        for shape, at in zip(shapes, where, strict=True)
    ]
    return jax.jit(product).lower(*given).compile()


def test_the_weights_are_gathered_and_the_rows_are_not():
    held = compiled(make_mesh(1, 8), held=True)
    assert held.output_shardings.spec[0] == ("slice", "data", "fsdp")
    assert sent(held.as_text())["all-gather"].bytes == WIDTH * WIDTH * 4 * 7 // 8


def test_nothing_is_asked_for_outside_or_on_one_device():
    x = jnp.ones((3, 2))
    assert spread(x) is x
    with rows_on(batch_sharding(make_mesh(devices=jax.devices()[:1]))):
        assert spread(x) is x
    made = compiled(make_mesh(1, 8), held=False)
    x, weight = np.ones((ROWS, WIDTH)), np.ones((WIDTH, WIDTH))
    np.testing.assert_array_equal(made(*map(jnp.asarray, (x, weight))), x @ weight)
