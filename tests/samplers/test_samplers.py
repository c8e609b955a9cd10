"""What every strategy promises, and what each one keeps."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fewvid.errors import UserError
from fewvid.samplers import SAMPLERS, Selection, find, gather

TOKENS = np.random.default_rng(0).normal(size=(8, 3, 16, 4)).astype(np.float32)
RESPONSE = np.random.default_rng(1).dirichlet(np.ones(16), (8, 3)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.mark.parametrize("keep", [1, 5, 16])
@pytest.mark.parametrize("name", SAMPLERS)
def test_indices_are_sorted_unique_and_in_range(name, keep):
    found = find(name)(TOKENS, keep=keep, response=RESPONSE, rng=KEY)
    indices = np.asarray(found.indices)
    assert indices.shape == (8, 3, keep)
    assert indices.dtype == np.int32
    assert (np.diff(indices) > 0).all()
    assert 0 <= indices.min() <= indices.max() < 16
    assert found.scores.shape == (8, 3, 16)
    ranked = np.take_along_axis(np.asarray(found.scores), indices, -1).min(-1)
    dropped = np.array(found.scores)
    np.put_along_axis(dropped, indices, -np.inf, -1)
    assert (ranked >= dropped.max(-1)).all()  # what it ranked by is what it kept


@pytest.mark.parametrize("name", SAMPLERS)
def test_weights_are_the_kept_response_with_mean_1(name):
    found = find(name)(TOKENS, keep=5, response=RESPONSE, rng=KEY)
    kept = np.take_along_axis(RESPONSE, np.asarray(found.indices), -1)
    expected = kept / kept.mean(-1, keepdims=True)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-5)
    if name != "attention":
        assert (np.asarray(find(name)(TOKENS, keep=5, rng=KEY).weights) == 1).all()


def test_attention_keeps_the_highest_and_the_first_of_equals():
    found = find("attention")(TOKENS, keep=5, response=RESPONSE)
    expected = np.sort(np.argsort(-RESPONSE, -1)[..., :5], -1)
    np.testing.assert_array_equal(found.indices, expected)
    equals = find("attention")(TOKENS, keep=3, response=np.ones((8, 3, 16), np.float32))
    assert (np.asarray(equals.indices) == [0, 1, 2]).all()


def test_attention_moves_with_the_tokens():
    order = np.random.default_rng(2).permutation(16)
    plain, moved = (
        gather(tokens, find("attention")(tokens, keep=5, response=response))
        for tokens, response in (
            (TOKENS, RESPONSE),
            (TOKENS[:, :, order], RESPONSE[..., order]),
        )
    )
    by_first = [np.sort(np.asarray(x)[..., 0], -1) for x in (plain, moved)]
    np.testing.assert_array_equal(*by_first)


def test_random_is_a_function_of_its_key_however_the_batch_is_sharded():
    choose = jax.jit(lambda tokens, key: find("random")(tokens, keep=5, rng=key).indices)
    plain = np.asarray(choose(TOKENS, KEY))
    rows = NamedSharding(Mesh(np.array(jax.devices()[:8]), ("data",)), PartitionSpec("data"))
    sharded = choose(jax.device_put(TOKENS, rows), KEY)
    np.testing.assert_array_equal(sharded, plain)
    assert (np.asarray(choose(TOKENS, jax.random.key(1))) != plain).any()
    assert (plain[0] != plain[1]).any()
    assert (plain[:, 0] != plain[:, 1]).any()


def test_random_keeps_all_tokens_equally_often():
    tokens = np.zeros((1000, 4, 16, 1), np.float32)
    indices = np.asarray(find("random")(tokens, keep=5, rng=KEY).indices)
    counts = np.bincount(indices.ravel(), minlength=16)
    share = 5 / 16
    error = np.sqrt(4000 * share * (1 - share))
    assert np.abs(counts - 4000 * share).max() < 4 * error


@pytest.mark.parametrize(
    ("keep", "expected"), [(1, [8]), (2, [4, 12]), (4, [2, 6, 10, 14]), (3, [2, 8, 13])]
)
def test_stride_takes_the_middle_of_each_stretch(keep, expected):
    found = find("stride")(TOKENS, keep=keep)
    assert (np.asarray(found.indices) == expected).all()
    assert expected == [int((i + 0.5) * 16 / keep) for i in range(keep)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_strategy_compiles_for_a_fixed_number(name):
    strategy = jax.jit(partial(find(name), keep=5))
    eager = find(name)(TOKENS, keep=5, response=RESPONSE, rng=KEY)
    jitted = strategy(TOKENS, response=RESPONSE, rng=KEY)
    np.testing.assert_array_equal(eager.indices, jitted.indices)


def test_what_is_missing_is_named():
    with pytest.raises(UserError, match=r"no sampler 'atention'.*attention, random, stride.*mean"):
        find("atention")
    with pytest.raises(UserError, match="needs a response"):
        find("attention")(TOKENS, keep=5)
    with pytest.raises(UserError, match="random key"):
        find("random")(TOKENS, keep=5)


def test_gather_takes_or_mixes():
    indices = np.broadcast_to(np.array([1, 7], np.int32), (8, 3, 2))
    chosen = Selection(indices, np.ones((8, 3, 2)), RESPONSE)
    np.testing.assert_array_equal(gather(TOKENS, chosen), TOKENS[:, :, [1, 7]])
    assert gather(TOKENS, None) is TOKENS
    halves = np.zeros((8, 3, 2, 16), np.float32)
    halves[..., 0, :2] = halves[..., 1, 7:9] = 0.5
    mixed = np.asarray(gather(TOKENS, chosen._replace(merge=halves)))
    np.testing.assert_allclose(mixed[:, :, 0], TOKENS[:, :, :2].mean(2), atol=1e-6)
    np.testing.assert_allclose(mixed[:, :, 1], TOKENS[:, :, 7:9].mean(2), atol=1e-6)
