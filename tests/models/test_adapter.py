"""The sampler inside the adapter: nothing at K = N, the K highest below, and what changed."""

import dataclasses
import itertools
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.adapter import Adapter
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig, kept_tokens
from fewvid.samplers import SAMPLERS

MODES = list(itertools.product(("learned", "tokens", "mlp"), ("before", "after")))


def make(queries, site="before", response="adapter", change=False):
    adapter = dataclasses.replace(AdapterConfig.tiny(), queries=queries, change=change)
    sampler = SamplerConfig(site=site, response=response)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)


def see(config, params, features, times, **options):
    return jax.jit(partial(lvlm.see, config, **options))(params, features, times)


def see_stepwise(config, params, features, times, **options):
    """Not fused into one program, whose sums round differently when another term stands in them."""
    with jax.disable_jit():
        return lvlm.see(config, params, features, times, **options)


def equal(one, other):
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(("queries", "site"), MODES)
def test_keeping_all_is_the_unsampled_model_bit_for_bit(
    random_params, features, times, queries, site
):
    config = make(queries, site, change=True)
    params = random_params(config)
    adapter = Adapter(config.adapter, config.encoder, config.sampler, config.decoder.width)
    given = ({"params": params["adapter"]}, *features, times)
    unsampled = jax.jit(lambda *x: adapter.apply(*x, None))(*given)
    everything = kept_tokens(config)
    found = see(config, params, features, times, keep=everything)
    assert found.selection is None
    equal(found.tokens, unsampled.tokens)
    kept = dataclasses.replace(config, sampler=dataclasses.replace(config.sampler, keep=everything))
    programs = {
        str(jax.make_jaxpr(partial(lvlm.see, made, keep=keep, sampler=s))(params, features, times))
        for made, keep in ((config, None), (config, everything), (kept, None))
        for s in (None, *SAMPLERS)
    }
    assert len(programs) == 1  # however all are asked for, one and the same program


@pytest.mark.parametrize("response", ["adapter", "encoder"])
@pytest.mark.parametrize(("queries", "site"), MODES)
def test_below_the_k_highest_responses_are_kept(
    random_params, features, times, queries, site, response
):
    config = make(queries, site, response)
    params = random_params(config)
    after_queries = (queries, site) == ("learned", "after")
    found = see(config, params, features, times, keep=3)
    highest = np.sort(np.argsort(-np.asarray(found.response), axis=-1)[..., :3], axis=-1)
    equal(found.selection.indices, highest)
    if queries == "mlp" or (response == "encoder" and not after_queries):
        equal(found.response, features.response)
    if (queries, site) != ("learned", "before"):  # each output is its own candidate's
        whole = np.asarray(see(config, params, features, times).tokens)
        chosen = np.take_along_axis(whole, highest[..., None], axis=2)
        np.testing.assert_allclose(found.tokens, chosen, atol=1e-5)


@pytest.mark.parametrize(("queries", "site"), MODES)
def test_every_sampler_fits_wherever_it_stands(random_params, features, times, queries, site):
    config = make(queries, site)
    params, key = random_params(config), jax.random.key(0)
    after_queries = (queries, site) == ("learned", "after")
    query = np.ones((len(times), config.decoder.width), np.float32)
    shape = see(config, params, features, times, keep=3).tokens.shape
    for name in SAMPLERS:
        run = partial(lvlm.see, config, keep=3, sampler=name)
        found = jax.eval_shape(run, params, features, times, query=query, rng=key)
        assert found.tokens.shape == shape
        seen = config.adapter.count if after_queries else config.encoder.tokens
        assert found.selection.scores.shape[-1] == seen


def test_a_question_decides_where_a_sampler_asks_for_it(random_params, features, times):
    config = make("tokens")
    params = random_params(config)
    queries = np.random.default_rng(0).normal(size=(2, len(times), config.decoder.width))
    one, other = (
        see(config, params, features, times, keep=3, sampler="dpp_text", query=query)
        for query in queries.astype(np.float32)
    )
    assert np.any(one.selection.indices != other.selection.indices)
    with pytest.raises(UserError, match="'dpp_text' needs the question's embedding"):
        see(config, params, features, times, keep=3, sampler="dpp_text")


def test_learned_queries_read_the_kept_tokens_only(random_params, features, times):
    config = make("learned", response="encoder")
    params = random_params(config)
    found = see(config, params, features, times, keep=3)
    other = np.array(features.tokens)
    kept = np.zeros(features.response.shape, bool)
    np.put_along_axis(kept, np.asarray(found.selection.indices), True, axis=-1)
    other[~kept] += 1
    equal(see(config, params, features._replace(tokens=other), times, keep=3).tokens, found.tokens)
    other[kept] += 1
    moved = see(config, params, features._replace(tokens=other[:, ::-1]), times, keep=3)
    assert np.abs(moved.tokens - found.tokens).max() > 0.01


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_what_is_merged_reaches_the_decoder(random_params, features, times, queries):
    config = make(queries, change=True)
    params = random_params(config)
    chosen = see(config, params, features, times, keep=4, sampler="stride")
    pooled = see(config, params, features, times, keep=4, sampler="pool")
    equal(chosen.selection.indices, pooled.selection.indices)
    assert np.abs(chosen.tokens - pooled.tokens).mean() > 0.05
    # Merging each kept token with itself alone is keeping it.
    adapter = Adapter(config.adapter, config.encoder, config.sampler, config.decoder.width)
    alone = jax.nn.one_hot(chosen.selection.indices, features.response.shape[-1])
    same = chosen.selection._replace(merge=alone)
    found = adapter.apply({"params": params["adapter"]}, *features, times, lambda *_: same)
    np.testing.assert_allclose(found.tokens, chosen.tokens, atol=1e-5)


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_change_is_nothing_for_one_frame(random_params, features, times, queries):
    config = make(queries, change=True)
    params = random_params(config)
    adapter = {k: v for k, v in params["adapter"].items() if k != "change"}
    one = jax.tree.map(lambda x: x[:, :1], features)
    for keep in (None, 3):
        with_it = see_stepwise(config, params, one, times[:, :1], keep=keep)
        without = see_stepwise(make(queries), {"adapter": adapter}, one, times[:, :1], keep=keep)
        equal(with_it.tokens, without.tokens)


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_change_starts_at_nothing_and_then_carries_something(
    random_params, features, times, queries
):
    config = make(queries, change=True)
    params = random_params(config)
    adapter = {k: v for k, v in params["adapter"].items() if k != "change"}
    without = see_stepwise(make(queries), {"adapter": adapter}, features, times)
    zero = jax.tree.map(np.zeros_like, params["adapter"]["change"])
    fresh = {"adapter": adapter | {"change": zero}}
    equal(see_stepwise(config, fresh, features, times).tokens, without.tokens)
    moved = np.abs(see_stepwise(config, params, features, times).tokens - without.tokens).max(
        (0, 2, 3)
    )
    assert moved[0] == 0  # the first frame has none before it
    assert moved[1:].min() > 0.1


def test_change_is_initialised_to_zero(features, times):
    config = make("tokens", change=True)
    adapter = Adapter(config.adapter, config.encoder, config.sampler, config.decoder.width)
    fresh = jax.jit(partial(adapter.init, sample=None))(jax.random.key(0), *features, times)
    assert not np.any(fresh["params"]["change"]["kernel"])
    assert np.any(fresh["params"]["q"]["kernel"])


def test_identical_frames_show_no_change(random_params, features, times):
    config = make("tokens", change=True)
    params = random_params(config)
    adapter = {k: v for k, v in params["adapter"].items() if k != "change"}
    still = jax.tree.map(lambda x: np.repeat(x[:, :1], 3, axis=1), features)
    with_it = see(config, params, still, times, keep=3)
    without = see(make("tokens"), {"adapter": adapter}, still, times, keep=3)
    np.testing.assert_allclose(with_it.tokens, without.tokens, atol=1e-5)
