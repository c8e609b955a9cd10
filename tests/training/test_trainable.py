"""The tree cut in a trainable and a frozen part, layer ranges included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.training.trainable import abstract_split, count, frozen_layers, merge, select, split

PARAMS = {
    "adapter": {"out": {"kernel": np.arange(6.0).reshape(2, 3)}},
    "encoder": {"layers": {"mlp": {"kernel": np.arange(20.0).reshape(5, 2, 2)}}, "cls": np.ones(2)},
}


def test_split_and_merge_are_inverse():
    chosen = select(PARAMS, ("adapter/.*", "encoder/layers/.*@-3:"))
    assert chosen == {"adapter/out/kernel": None, "encoder/layers/mlp/kernel": (2, 5)}
    trained, frozen = split(PARAMS, chosen)
    assert trained["encoder"]["layers"]["mlp"]["kernel"].shape == (3, 2, 2)
    assert set(frozen) == {"encoder"}
    whole = merge(trained, jax.tree.map(jnp.asarray, frozen), chosen)
    jax.tree.map(np.testing.assert_array_equal, whole, PARAMS)
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, PARAMS))
    assert jax.tree.map(lambda x: x.shape, abstract_split(shapes, chosen)[0]) == jax.tree.map(
        lambda x: x.shape, trained
    )


def test_gradients_are_of_the_rows_alone():
    chosen = select(PARAMS, ("encoder/layers/.*@0:2",))
    trained, frozen = split(jax.tree.map(jnp.asarray, PARAMS), chosen)
    square = lambda t: (merge(t, frozen, chosen)["encoder"]["layers"]["mlp"]["kernel"] ** 2).sum()  # noqa: E731
    gradient = jax.grad(square)(trained)["encoder"]["layers"]["mlp"]["kernel"]
    np.testing.assert_array_equal(gradient, 2 * np.arange(8.0).reshape(2, 2, 2))


def test_count_by_part():
    chosen = select(PARAMS, ("adapter/.*", "encoder/layers/.*@-3:"))
    assert count(PARAMS, chosen) == {"adapter": (6, 6), "encoder": (12, 22)}


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("adaptor/.*",), r"'adaptor/\.\*' matches no parameter of adapter, encoder"),
        (("adapter",), "covers a whole path"),
        (("adapter/(",), "is no regex"),
        (("adapter/.*@-3:",), "must be of layers/"),
        (("encoder/layers/.*@x",), "a range of layers"),
        (("encoder/layers/.*@9:",), "takes none of the 5 layers"),
        (("encoder/layers/.*@-3:", "encoder/.*"), "in two ways"),
    ],
)
def test_mistakes(patterns, message):
    with pytest.raises(UserError, match=message):
        select(PARAMS, patterns)


def test_layers_before_the_first_that_trains_are_frozen():
    rows = {"encoder/layers/mlp_in/kernel": (2, 4), "encoder/layers/mlp_in/bias": (1, 4)}
    assert frozen_layers({"adapter/k/kernel": None, **rows}, "encoder") == 1
    assert frozen_layers({**rows, "encoder/layers/mlp_out/kernel": None}, "encoder") == 0
    assert frozen_layers({**rows, "encoder/position": None}, "encoder") == 0
    assert frozen_layers({"adapter/k/kernel": None}, "encoder") == 0
