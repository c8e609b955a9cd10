"""LLaVA's two layers: token by token, whatever is kept, and no time until it is trained."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig

PROJECTOR = AdapterConfig(queries="projector", width=24)


def make(site="before", weighting="select"):
    sampler = SamplerConfig(response="encoder", site=site, weighting=weighting)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=PROJECTOR, sampler=sampler)


def by_hand(params, tokens):
    p = params["adapter"]
    x = tokens @ p["project"]["kernel"] + p["project"]["bias"]
    x = x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    return x @ p["to_decoder"]["kernel"] + p["to_decoder"]["bias"]


@pytest.mark.parametrize("site", ["before", "after"])
def test_what_is_kept_goes_through_as_it_would_alone(site, random_params, features, times):
    config = make(site)
    params = random_params(config)
    still = np.zeros_like(times)
    wanted = by_hand(params, features.tokens)
    everything = lvlm.see(config, params, features, still)
    assert everything.selection is None
    np.testing.assert_allclose(everything.tokens, wanted, atol=1e-4)
    some = lvlm.see(config, params, features, still, keep=5)
    order = np.sort(np.argsort(-features.response, axis=-1)[..., :5], axis=-1)
    np.testing.assert_array_equal(some.selection.indices, order)
    kept = np.take_along_axis(wanted, order[..., None], axis=2)
    np.testing.assert_allclose(some.tokens, kept, atol=1e-4)


def test_time_starts_at_nothing_and_can_be_learned(random_params, features, times):
    config = make()
    fresh = lvlm.init(config, jax.random.key(0))["adapter"]
    assert not np.any(fresh["time"]["kernel"])
    params = random_params(config)
    moving = lvlm.see(config, params, features, times).tokens
    still = lvlm.see(config, params, features, np.zeros_like(times)).tokens
    np.testing.assert_array_equal(moving[:, 0], still[:, 0])  # the first frame is at 0 s
    assert np.abs(moving - still)[:, 1:].mean(axis=(1, 2, 3)).min() > 0.1


def test_a_response_that_weighs_scales_what_is_kept(random_params, features, times):
    params, still = random_params(make()), np.zeros_like(times)
    plain = lvlm.see(make(), params, features, still, keep=5)
    scaled = lvlm.see(make("after", "scale"), params, features, still, keep=5)
    weights = np.asarray(scaled.selection.weights)[..., None]
    assert weights.std() > 0.1
    np.testing.assert_allclose(scaled.tokens, plain.tokens * weights, atol=1e-4)
    np.testing.assert_array_equal(plain.selection.indices, scaled.selection.indices)


@pytest.mark.parametrize(
    ("adapter", "sampler", "said"),
    [
        ({"change": True}, {}, "adapter.change needs places"),
        ({}, {"weighting": "bias"}, "which needs attention after the choice"),
    ],
)
def test_what_needs_attention_or_places_is_refused(adapter, sampler, said):
    with pytest.raises(UserError, match=said):
        LvlmConfig(
            adapter=dataclasses.replace(PROJECTOR, **adapter), sampler=SamplerConfig(**sampler)
        )
