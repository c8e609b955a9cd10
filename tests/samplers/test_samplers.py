"""What every strategy promises, and what those without a look at the tokens keep."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fewvid.errors import UserError
from fewvid.samplers import SAMPLERS, Selection, find, gather, spread
from fewvid.samplers.types import places

TOKENS = np.random.default_rng(0).normal(size=(8, 3, 16, 4)).astype(np.float32)
RESPONSE = np.random.default_rng(1).dirichlet(np.ones(16), (8, 3)).astype(np.float32)
QUERY = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
KEY = jax.random.key(0)
PLACES = ("random", "stride", "pool")  # choose places, whatever is there
MERGING = ("pool", "attention_merge", "density_merge")
COMPARING = ("entropy", "maxmin", "attention_diverse", "attention_merge", "density_merge")
COMPILED = {name: jax.jit(strategy, static_argnames="keep") for name, strategy in SAMPLERS.items()}
every = pytest.mark.parametrize("name", SAMPLERS)


def choose(name, tokens=TOKENS, keep=5, response=RESPONSE, query=QUERY, **more):
    given = {"response": response, "query": query, "rng": KEY} | more
    return COMPILED[name](tokens, keep=keep, **given)


def check(found, keep):
    for array, most in ((found.indices, 16), (found.frames, 3)):
        if array is not None:
            assert (array.shape, array.dtype) == ((8, 3, keep), np.int32)
            assert 0 <= np.min(array) <= np.max(array) < most
    kept = np.asarray(places(found))
    assert (kept.shape, kept.dtype) == ((8, 3 * keep), np.int32)
    assert (np.diff(kept) > 0).all()


def inside(found):
    """bool[B,T,N], by plain numpy."""
    kept = np.zeros((8, 3 * 16), bool)
    np.put_along_axis(kept, np.asarray(places(found)), True, -1)
    return kept.reshape(8, 3, 16)


@pytest.mark.parametrize("keep", [1, 5, 16])
@every
def test_indices_are_sorted_unique_and_in_range(name, keep):
    found = choose(name, keep=keep)
    check(found, keep)
    kept, scores = inside(found), np.array(found.scores)
    assert (scores.shape, scores.dtype) == ((8, 3, 16), np.float32)
    ranked = np.where(kept, scores, np.inf).min(-1)
    dropped = np.where(kept, -np.inf, scores).max(-1)
    assert (ranked >= dropped).all()  # what it ranked by is what it kept


@every
def test_keeping_all_is_the_identity_bit_for_bit(name):
    found = choose(name, keep=16)
    np.testing.assert_array_equal(found.indices, np.broadcast_to(np.arange(16), (8, 3, 16)))
    assert inside(found).all()
    tokens = TOKENS.copy()
    tokens[0, 0, 0] = -0.0
    for dtype, bits in ((jnp.float32, np.uint32), (jnp.bfloat16, np.uint16)):
        given = jnp.asarray(tokens, dtype)
        kept = gather(given, choose(name, given, keep=16))
        np.testing.assert_array_equal(np.asarray(kept).view(bits), np.asarray(given).view(bits))


@every
def test_the_number_kept_is_of_the_shapes_alone(name):
    for tokens in (np.zeros_like(TOKENS), np.ones_like(TOKENS), TOKENS[:, :, :1].repeat(16, 2)):
        for keep in (5, 16):
            found = choose(name, tokens, keep, np.full_like(RESPONSE, 1 / 16), np.ones_like(QUERY))
            check(found, keep)
            assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
    shapes = jax.eval_shape(
        partial(find(name), keep=5), TOKENS, response=RESPONSE, query=QUERY, rng=KEY
    )
    assert shapes.indices.shape == shapes.weights.shape == (8, 3, 5)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in PLACES])
def test_the_choice_moves_with_the_tokens(name):
    order = np.random.default_rng(3).permutation(16)
    plain = choose(name)
    moved = choose(name, TOKENS[:, :, order], response=RESPONSE[..., order])
    kept = inside(moved)
    np.testing.assert_array_equal(kept, inside(plain)[..., order])
    np.testing.assert_allclose(moved.scores, np.asarray(plain.scores)[..., order], atol=1e-5)
    if plain.frames is not None:
        return
    came_from = order[np.asarray(moved.indices)]
    taken = np.asarray(gather(TOKENS[:, :, order], moved))
    again = np.take_along_axis(taken, np.argsort(came_from, -1)[..., None], 2)
    np.testing.assert_allclose(again, gather(TOKENS, plain), atol=1e-5)


@pytest.mark.parametrize("name", PLACES)
def test_places_are_chosen_whatever_the_tokens(name):
    np.testing.assert_array_equal(choose(name).indices, choose(name, TOKENS[::-1]).indices)


@every
def test_each_kept_token_is_a_mean_of_weights_that_sum_to_1(name):
    found = choose(name)
    assert (found.merge is not None) == (name in MERGING)
    if found.merge is None:
        kept = np.asarray(gather(TOKENS, found))
        assert kept.shape == (8, 3, 5, 4)
        np.testing.assert_array_equal(kept.reshape(-1, 4), TOKENS[inside(found)])
    else:
        merge = np.asarray(found.merge)
        assert (merge.shape, merge.dtype) == ((8, 3, 5, 16), np.float32)
        np.testing.assert_allclose(merge.sum(-1), 1, rtol=1e-6)
        assert merge.min() >= 0
        assert ((merge > 0).sum(-2) <= 1).all()  # no token is mixed into two
        own = np.take_along_axis(merge, np.asarray(found.indices)[..., None], -1)
        assert (own > 0).all()
        assert np.asarray(gather(TOKENS, found)) == pytest.approx(merge @ TOKENS, abs=1e-5)


@every
def test_weights_are_the_kept_response_with_mean_1(name):
    found = choose(name)
    kept = np.where(inside(found), RESPONSE, np.nan)
    expected = np.nan_to_num(kept / np.nanmean(kept, -1, keepdims=True))
    np.testing.assert_allclose(spread(found.weights, found), expected, rtol=1e-5)
    if not name.startswith("attention"):
        assert (np.asarray(choose(name, response=None).weights) == 1).all()


@every
def test_compiled_mapped_and_sharded_it_chooses_the_same(name):
    given = (TOKENS, RESPONSE, QUERY)
    eager = find(name)(TOKENS, keep=5, response=RESPONSE, query=QUERY, rng=KEY)
    rows = NamedSharding(Mesh(np.array(jax.devices()[:8]), ("data",)), PartitionSpec("data"))
    one = lambda tokens, response, query: choose(  # noqa: E731
        name, tokens, response=response, query=query
    )
    mapped = jax.vmap(one)(*(np.stack([x, x]) for x in given))
    for found in (
        one(*given),
        one(*jax.device_put(given, rows)),
        jax.tree.map(lambda x: x[0], mapped),
        jax.tree.map(lambda x: x[1], mapped),
    ):
        np.testing.assert_array_equal(found.indices, eager.indices)
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), found, eager)


@every
def test_bfloat16_tokens_are_chosen_by_float32_scores(name):
    half = jnp.asarray(TOKENS, jnp.bfloat16)
    found, whole = choose(name, half), choose(name, half.astype(jnp.float32))
    assert {x.dtype for x in jax.tree.leaves(found)} == {jnp.dtype("int32"), jnp.dtype("float32")}
    jax.tree.map(np.testing.assert_array_equal, found, whole)
    kept = gather(half, found)
    assert kept.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        kept.astype(jnp.float32), gather(half.astype(jnp.float32), whole), rtol=2**-8
    )


@every
def test_the_gradient_reaches_the_kept_tokens_and_is_finite(name):
    tokens = TOKENS.copy()
    tokens[:, :, :4] = tokens[:, :, 4:5]  # copies, and zeros: roots and norms of nothing
    tokens[:, :, 8] = 0
    found = choose(name, tokens)
    gradient = jax.grad(lambda x: gather(x, choose(name, x)).sum())(tokens)
    if found.merge is None:
        expected = inside(found)
    else:
        expected = np.asarray(found.merge).sum(-2)
    np.testing.assert_allclose(gradient, expected[..., None].repeat(4, -1), rtol=1e-5)


@pytest.mark.parametrize("name", COMPARING)
def test_tokens_are_compared_by_their_keys_where_there_are_keys(name):
    keys = TOKENS[::-1, :, ::-1]
    by_keys, of_keys = choose(name, keys=keys), choose(name, keys)
    jax.tree.map(np.testing.assert_array_equal, by_keys, of_keys)


def test_random_is_a_function_of_its_key():
    plain = np.asarray(choose("random").indices)
    assert (np.asarray(choose("random", rng=jax.random.key(1)).indices) != plain).any()
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
    ("name", "missing", "message"),
    [
        ("attention", "response", "needs a response"),
        ("attention_merge", "response", "needs a response; use --sampler density_merge"),
        ("attention_diverse", "response", "needs a response; use --sampler maxmin"),
        ("random", "rng", "needs a random key; give --seed"),
        ("dpp_text", "query", "needs the question's embedding .*; use --sampler maxmin"),
    ],
)
def test_what_is_missing_is_named(name, missing, message):
    with pytest.raises(UserError, match=f"the sampler '{name}' {message}"):
        choose(name, **{missing: None})


def test_an_unknown_name_is_answered_with_the_known():
    known = "random, stride, pool, attention, entropy, attention_merge, attention_diverse, maxmin"
    with pytest.raises(UserError, match=f"no sampler 'atention'.*{known}.*mean 'attention'"):
        find("atention")


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
