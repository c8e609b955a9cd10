"""Timed apart or run as one: the parts give what the model's own functions give."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from fewvid.data.clip import Clip
from fewvid.inference.model import Model
from fewvid.inference.view import ELSEWHERE, View
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig, candidates

MODELS = {
    "learned, before": ("learned", SamplerConfig(site="before"), 3),
    "learned, after": ("learned", SamplerConfig(site="after"), 3),
    "tokens, after": ("tokens", SamplerConfig(site="after", response="encoder"), 3),
    "mlp": ("mlp", SamplerConfig(response="encoder"), 3),
}


@pytest.fixture(scope="module", params=MODELS)
def tiny(request):
    queries, sampler, keep = MODELS[request.param]
    adapter = AdapterConfig(queries=queries, count=4, width=32, heads=2)
    config = replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)
    shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.2, x.shape).astype(np.float32), shapes)
    pixels = rng.integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
    clip = Clip(pixels, np.float32([0, 1]), 2, 2, 2.0, "test")
    model = Model(config, params, chat=None)  # pyright: ignore[reportArgumentType]
    return View(model, clip, keep, None, 0), keep


def test_choosing_and_adapting_apart_is_seeing_at_once(tiny):
    view, keep = tiny
    see = jax.jit(lvlm.see, static_argnums=0, static_argnames="keep")
    config, params = view.model.config, view.model.params
    at_once = see(config, params, view.features, view.times, keep=keep)
    assert view.visual().shape == at_once.tokens.shape
    np.testing.assert_allclose(view.visual(), at_once.tokens, rtol=1e-5, atol=1e-5)


def test_a_selection_has_patches_wherever_the_sampler_stands(tiny):
    view, keep = tiny
    chosen = view.selection()
    assert chosen.counts == (keep, keep)
    assert chosen.scores.shape == (2, 16)
    assert all((np.diff(indices) > 0).all() for indices in chosen.indices)
    assert (ELSEWHERE in chosen.notes) == (candidates(view.model.config) == 4)
