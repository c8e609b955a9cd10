"""Layers of the encoder that nothing trains: gone through once, and not back."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.paths import flatten

DEPTH, FROZEN = 6, 5
TINY = LvlmConfig.tiny()
CONFIG = dataclasses.replace(TINY, encoder=dataclasses.replace(TINY.encoder, depth=DEPTH))


@pytest.fixture(scope="module")
def made():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32, 3), np.uint8)
    return lvlm.init(CONFIG, jax.random.key(0)), pixels


def differentiate(params, pixels, *, frozen_layers, remat):
    """The gradients of the last layers, where their rows alone train."""
    stacked = params["encoder"]["layers"]
    rows = jax.tree.map(lambda leaf: leaf[FROZEN:], stacked)

    def value(rows):
        layers = jax.tree.map(lambda leaf, part: leaf.at[FROZEN:].set(part), stacked, rows)
        whole = {**params, "encoder": {**params["encoder"], "layers": layers}}
        found = lvlm.encode(CONFIG, whole, pixels, remat=remat, frozen_layers=frozen_layers)
        return (found.tokens**2).sum() + (found.response**2).sum()

    return jax.value_and_grad(value)(rows)


@pytest.mark.parametrize("remat", ["none", "full", "products"])
def test_gradients_are_those_of_going_back_through_all(made, remat):
    one, other = (
        jax.jit(partial(differentiate, frozen_layers=n, remat=remat))(*made) for n in (0, FROZEN)
    )
    np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    for path, leaf in flatten(one[1]).items():
        np.testing.assert_allclose(
            leaf, flatten(other[1])[path], rtol=1e-4, atol=1e-5, err_msg=path
        )


def test_what_is_seen_is_the_same(made):
    one, other = (lvlm.encode(CONFIG, *made, frozen_layers=n) for n in (0, FROZEN))
    np.testing.assert_allclose(one.tokens, other.tokens, atol=1e-6)
    np.testing.assert_allclose(one.response, other.response, atol=1e-6)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_a_step_keeps_nothing_of_them_and_does_not_go_back(made, remat):
    loops = [
        [
            int(equation.params["length"])
            for equation in jax.make_jaxpr(partial(differentiate, frozen_layers=n, remat=remat))(
                *made
            ).eqns
            if equation.primitive.name == "scan"
        ]
        for n in (0, FROZEN)
    ]
    assert loops == [[DEPTH, DEPTH], [FROZEN, DEPTH - FROZEN, DEPTH - FROZEN]]  # there, and back
    held = [
        jax.jit(partial(differentiate, frozen_layers=n, remat=remat))
        .lower(*made)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
        for n in (0, FROZEN)
    ]
    assert held[1] < held[0]
