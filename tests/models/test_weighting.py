"""The three readings of "weighted": the response selects, scales, or biases the attention."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.adapter import Adapter
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig
from fewvid.samplers import Selection

MODES = list(itertools.product(("learned", "tokens", "mlp"), ("before", "after")))
BIASED = [("learned", "before"), ("tokens", "before")]
WEIGHTED = [("scale", *mode) for mode in MODES] + [("bias", *mode) for mode in BIASED]

# without those where the response is the adapter's own, of its outputs
OF_PATCHES = [way for way in WEIGHTED if way[1:] != ("learned", "after")]


def make(weighting, queries, site="before", change=False):
    adapter = dataclasses.replace(AdapterConfig.tiny(), queries=queries, change=change)
    sampler = SamplerConfig(site=site, response="encoder", weighting=weighting)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)


def adapt(config, params, features, times, indices, weights, merge=None):
    """The tokens of a choice that is given: indices [K] and weights [K] of every frame."""
    every = lambda x: jnp.broadcast_to(jnp.asarray(x), (2, 3, *np.shape(x)))  # noqa: E731
    merged = None if merge is None else every(merge)
    kept = Selection(every(indices), every(weights), jnp.zeros((2, 3, 16)), merged)
    adapter = Adapter(config.adapter, config.encoder, config.sampler, config.decoder.width)
    given = ({"params": params["adapter"]}, *features, times)
    return np.asarray(jax.jit(lambda *x: adapter.apply(*x, lambda *_: kept).tokens)(*given))


@pytest.mark.parametrize(("weighting", "queries", "site"), WEIGHTED)
def test_weights_of_one_only_select(random_params, features, times, weighting, queries, site):
    params = random_params(make("select", queries, site, change=True))
    even = features._replace(response=np.full_like(features.response, 1 / 16))
    plain, weighted = (
        adapt(make(name, queries, site, change=True), params, even, times, [0, 1, 3], np.ones(3))
        for name in ("select", weighting)
    )
    np.testing.assert_allclose(weighted, plain, atol=1e-5)


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_before_the_adapter_the_kept_tokens_are_scaled(random_params, features, times, queries):
    params = random_params(make("select", queries))
    indices, weights = [2, 5, 9], np.array([0.2, 1, 1.8], np.float32)
    scaled = adapt(make("scale", queries), params, features, times, indices, weights)
    plain = make("select", queries)
    mixed = np.eye(16, dtype=np.float32)[indices] * weights[:, None]
    expected = adapt(plain, params, features, times, indices, np.ones(3), mixed)
    np.testing.assert_allclose(scaled, expected, atol=1e-4)
    assert np.abs(scaled - adapt(plain, params, features, times, indices, weights)).max() > 0.01


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_after_the_adapter_its_outputs_are_scaled_but_not_their_time(
    random_params, features, times, queries
):
    params = random_params(make("select", queries, "after", change=True))
    weights = np.array([0.2, 1, 1.8], np.float32)
    plain, scaled, timeless, timeless_scaled = (
        adapt(make(name, queries, "after", True), params, features, seconds, [0, 1, 3], weights)
        for seconds in (times, np.zeros_like(times))
        for name in ("select", "scale")
    )
    np.testing.assert_allclose(timeless_scaled, weights[:, None] * timeless, atol=1e-4)
    np.testing.assert_allclose(scaled - timeless_scaled, plain - timeless, atol=1e-4)


def test_a_bias_of_learned_queries_counts_a_kept_token_so_many_times(
    random_params, features, times
):
    plain = make("select", "learned")
    params = random_params(plain)
    biased = adapt(make("bias", "learned"), params, features, times, [1, 5], np.float32([1.5, 0.5]))
    thrice = adapt(plain, params, features, times, [1, 1, 1, 5], np.ones(4, np.float32))
    once = adapt(plain, params, features, times, [1, 5], np.ones(2, np.float32))
    np.testing.assert_allclose(biased, thrice, atol=1e-5)
    assert np.abs(biased - once).max() > 0.01


def test_a_bias_of_token_queries_is_of_all_that_they_read(random_params, features, times):
    config = make("bias", "tokens")
    params = random_params(config)
    response = np.zeros_like(features.response)
    response[..., 7] = 1  # nothing else is read
    kept, weights = [2, 5], np.ones(2, np.float32)
    one = features._replace(response=response)
    noise = np.random.default_rng(4).normal(size=features.tokens.shape).astype(np.float32)
    noise[:, :, [2, 5, 7]] = 0
    other = one._replace(tokens=features.tokens + noise)
    found, same = (adapt(config, params, x, times, kept, weights) for x in (one, other))
    np.testing.assert_allclose(found, same, atol=1e-4)
    plain = make("select", "tokens")
    a, b = (adapt(plain, params, x, times, kept, weights) for x in (one, other))
    assert np.abs(a - b).max() > 0.01


@pytest.mark.parametrize("sampler", ["attention", "temporal"])
@pytest.mark.parametrize(("weighting", "queries", "site"), [*OF_PATCHES, ("select", *BIASED[0])])
def test_the_gradient_reaches_the_response(
    random_params, features, times, weighting, queries, site, sampler
):
    config = make(weighting, queries, site)
    params = random_params(config)

    def total(response):
        seen = lvlm.see(
            config, params, features._replace(response=response), times, keep=3, sampler=sampler
        )
        return (seen.tokens**2).sum()

    gradient = np.asarray(jax.jit(jax.grad(total))(features.response))
    assert np.isfinite(gradient).all()
    largest = np.abs(gradient).max(-1)
    assert (largest == 0).all() if weighting == "select" else largest.max() > 1e-3


@pytest.mark.parametrize(("weighting", "queries", "site"), WEIGHTED)
def test_where_all_is_kept_nothing_is_weighted(
    random_params, features, times, weighting, queries, site
):
    params = random_params(make("select", queries, site))
    programs = {
        str(jax.make_jaxpr(partial(lvlm.see, make(name, queries, site)))(params, features, times))
        for name in ("select", weighting)
    }
    assert len(programs) == 1


@pytest.mark.parametrize(("queries", "site"), sorted(set(MODES) - set(BIASED)))
def test_a_bias_without_attention_to_what_is_kept_is_refused(queries, site):
    with pytest.raises(
        UserError, match=rf"sampler\.weighting is 'bias'.* got '{site}' and '{queries}'"
    ):
        make("bias", queries, site)
