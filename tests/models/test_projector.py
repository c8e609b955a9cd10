"""LLaVA's two layers: token by token, whatever is kept, and no time until it is trained."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import (
    AdapterConfig,
    LvlmConfig,
    SamplerConfig,
    candidates,
    of_picture,
    visual_tokens,
)
from fewvid.models.pooling import halved, halved_response

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
        ({"pool": True}, {}, "adapter.pool needs sampler.site 'after', got 'before'"),
        ({"newline": True, "queries": "mlp"}, {}, "newline is for adapter.queries 'projector'"),
    ],
)
def test_what_needs_attention_or_places_is_refused(adapter, sampler, said):
    with pytest.raises(UserError, match=said):
        LvlmConfig(
            adapter=dataclasses.replace(PROJECTOR, **adapter), sampler=SamplerConfig(**sampler)
        )


def test_a_grid_is_halved_between_neighbours():
    """5 become 3: their middles lie at 1/3, 2 and 11/3 of the five."""
    ramp = np.arange(5.0, dtype=np.float32)
    grid = np.stack(np.meshgrid(ramp, 10 * ramp), -1).sum(-1).reshape(1, 1, 25, 1)
    sides = np.array([1 / 3, 2, 11 / 3])
    wanted = (sides + 10 * sides[:, None]).ravel()
    np.testing.assert_allclose(halved(grid)[0, 0, :, 0], wanted, rtol=1e-5)
    one = np.eye(36, dtype=np.float32)[[7]][None]  # a patch of 6 x 6, in the first of 3 x 3 places
    np.testing.assert_allclose(halved_response(one)[0, 0], np.eye(9)[0], atol=1e-6)


def pooling():
    sampler = SamplerConfig(response="encoder", site="after")
    adapter = dataclasses.replace(PROJECTOR, pool=True, newline=True)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)


def test_the_sampler_chooses_among_pooled_outputs(random_params, features, times):
    config = pooling()
    params = random_params(config)
    still = np.zeros_like(times)
    said = by_hand(params, features.tokens).reshape(2, 3, 2, 2, 2, 2, -1).mean((3, 5))
    wanted = said.reshape(2, 3, 4, -1)  # of an even grid, each is the mean of four
    assert candidates(config) == 4
    np.testing.assert_allclose(lvlm.see(config, params, features, still).tokens, wanted, atol=1e-4)
    some = lvlm.see(config, params, features, still, keep=2)
    response = features.response.reshape(2, 3, 2, 2, 2, 2).sum((3, 5)).reshape(2, 3, 4)
    np.testing.assert_allclose(some.response, response, atol=1e-5)
    order = np.sort(np.argsort(-response, axis=-1)[..., :2], axis=-1)
    kept = np.take_along_axis(wanted, order[..., None], axis=2)
    np.testing.assert_allclose(some.tokens, kept, atol=1e-4)
    whole = lvlm.see(of_picture(config), params, features, still).tokens
    np.testing.assert_allclose(whole, by_hand(params, features.tokens), atol=1e-4)


def test_a_newline_closes_every_row_behind_its_own_last_frame(random_params):
    config = pooling()
    params = random_params(config)
    visual = np.random.default_rng(0).normal(size=(3, 2, 4, 32)).astype(np.float32)
    tokens = np.full((3, 12), 7)
    counts = [visual_tokens(config, frames) for frames in (2, 1, 0)]
    assert counts == [9, 5, 0]
    for row, count in zip(tokens, counts, strict=True):
        row[1 : 1 + count] = 4
    words = params["decoder"]["embedding"][tokens]
    x = lvlm.place(words, visual.reshape(3, 8, 32), tokens == 4)
    x = np.asarray(lvlm.close(x, params["adapter"]["newline"], tokens == 4))
    np.testing.assert_array_equal(x[0, 1:9], visual[0].reshape(8, 32))
    np.testing.assert_array_equal(x[1, 1:5], visual[1, 0])
    for row, at in ((0, 9), (1, 5)):
        np.testing.assert_array_equal(x[row, at], params["adapter"]["newline"])
        np.testing.assert_array_equal(x[row, at + 1 :], words[row, at + 1 :])
    np.testing.assert_array_equal(x[2], words[2])
