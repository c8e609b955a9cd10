"""The sharding table: it covers the real model, and says what it could not split."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten, unflatten
from fewvid.parallel.sharding import place, shardings, spec_for


def params_of(config):
    return jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_table_covers_the_model(queries):
    import dataclasses

    config = dataclasses.replace(LvlmConfig.tiny(), adapter=AdapterConfig(queries, 4, 32, 2))
    notes = []
    flat = flatten(shardings(make_mesh(2, 2, 2), params_of(config), report=notes.append))
    assert flat["decoder/layers/mlp_in/kernel"].spec == P(None, "fsdp", "tensor")
    assert flat["decoder/layers/mlp_out/kernel"].spec == P(None, "tensor", "fsdp")
    assert flat["decoder/embedding"].spec == P("tensor", "fsdp")
    assert not notes


def test_unmatched_path_raises():
    with pytest.raises(ValueError, match="no sharding rule matches 'decoder/novelty'"):
        spec_for("decoder/novelty", 2)


def test_dimension_that_does_not_divide_stays_whole_and_is_reported():
    tree = {"decoder": {"embedding": np.zeros((7, 4))}}
    notes = []
    layout = shardings(make_mesh(2, 2, 2), tree, report=notes.append)
    assert layout["decoder"]["embedding"].spec == P(None, "fsdp")
    assert notes == [
        "decoder/embedding: dimension 0 of 7 does not divide over tensor=2, "
        "so each device holds all of it"
    ]
    placed = place(tree, layout)["decoder"]["embedding"]
    assert placed.addressable_shards[0].data.shape == (7, 2)


def test_paths_round_trip():
    tree = {"b": {"c": 1, "a": 2}, "a": 3}
    assert flatten(tree) == {"a": 3, "b/a": 2, "b/c": 1}
    assert unflatten(flatten(tree)) == tree
