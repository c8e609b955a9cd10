"""A budget over the clip inside the adapter: every kept token is still its own frame's."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.data.batches import pack_row, stack
from fewvid.models import lvlm
from fewvid.models.adapter import Adapter
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig
from fewvid.samplers import Selection, spread
from fewvid.samplers.budget import spend
from fewvid.samplers.types import places

MODES = list(itertools.product(("learned", "tokens", "mlp"), ("before", "after")))
OUTPUTS = [mode for mode in MODES if mode != ("learned", "before")]


def make(queries, site="before", weighting="select"):
    adapter = dataclasses.replace(AdapterConfig.tiny(), queries=queries, change=True)
    sampler = SamplerConfig(name="temporal", site=site, response="encoder", weighting=weighting)
    return dataclasses.replace(LvlmConfig.tiny(), adapter=adapter, sampler=sampler)


def adapt(config, params, features, times, selection):
    adapter = Adapter(config.adapter, config.encoder, config.sampler, config.decoder.width)
    of = {"params": params["adapter"]}
    return jax.jit(lambda kept: adapter.apply(of, *features, times, lambda *_: kept).tokens)(
        selection
    )


@pytest.mark.parametrize(("queries", "site"), OUTPUTS)
def test_each_output_is_its_candidate_s_with_its_frame_s_time_and_change(
    random_params, features, times, queries, site
):
    config = make(queries, site)
    params = random_params(config)
    see = jax.jit(partial(lvlm.see, config), static_argnames="keep")
    whole, found = see(params, features, times), see(params, features, times, keep=3)
    kept = np.asarray(spread(np.ones((2, 3, 3), np.float32), found.selection) > 0)
    assert len(set(kept.sum(-1).ravel().tolist())) > 1 or queries == "learned"
    assert found.tokens.shape == (2, 3, 3, 32)
    expected = np.asarray(whole.tokens)[kept]
    np.testing.assert_allclose(found.tokens.reshape(-1, 32), expected, atol=1e-5)


@pytest.mark.parametrize(("queries", "site"), MODES)
def test_k_of_each_frame_is_the_same_whoever_says_so(random_params, features, times, queries, site):
    config = make(queries, site)
    params = random_params(config)
    weights = np.random.default_rng(3).uniform(0.5, 1.5, (2, 3, 3)).astype(np.float32)
    seen = config.adapter.count if (queries, site) == ("learned", "after") else 16
    indices = np.broadcast_to(np.array([0, 1, 3], np.int32), (2, 3, 3))
    apart = Selection(indices, weights, jnp.zeros((2, 3, seen)))
    over_clip = apart._replace(frames=np.broadcast_to(np.arange(3)[:, None], (2, 3, 3)))
    bias = queries != "mlp" and site == "before"
    for weighting in ("select", "scale", "bias")[: 3 if bias else 2]:
        config = make(queries, site, weighting)
        one, other = (adapt(config, params, features, times, s) for s in (apart, over_clip))
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_learned_queries_read_what_their_frame_keeps(random_params, features, times):
    config = make("learned")
    params = random_params(config)
    scores = np.random.default_rng(0).uniform(size=(2, 3, 16)) + np.array([0, 0, 1])[:, None]
    selection = spend(jnp.asarray(scores), 3, np.zeros((2, 3), bool))
    kept = np.zeros((2, 48), bool)
    np.put_along_axis(kept, np.asarray(places(selection)), True, -1)
    kept = kept.reshape(2, 3, 16)
    assert kept.sum(-1).tolist() == [[1, 1, 7]] * 2
    found = adapt(config, params, features, times, selection)
    assert found.shape == (2, 3, config.adapter.count, 32)

    # without `change`, which looks among all tokens of another frame for what is kept
    plain = dataclasses.replace(config.adapter, change=False)
    still = dataclasses.replace(config, adapter=plain)
    before = adapt(still, params, features, times, selection)
    for where, same in ((~kept, True), (kept, False)):
        tokens = features.tokens + np.float32(where)[..., None] * np.arange(32) / 8
        after = adapt(still, params, features._replace(tokens=tokens), times, selection)
        moved = np.abs(after - before).max((0, 2, 3))
        assert (moved == 0).all() if same else (moved > 0.01).all()


PREFIX, TURN = [1], [([10, 11], [20, 2])]


def batch_of(clips, frames, keep):
    """Rows of clips of different lengths, padded to `frames` with what is none of theirs."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (len(clips), frames, 32, 32, 3), np.uint8)
    times, mask = np.zeros((len(clips), frames), np.float32), np.zeros((len(clips), frames), bool)
    for row, clip in enumerate(clips):
        pixels[row, : len(clip)], mask[row, : len(clip)] = clip, True
        times[row, : len(clip)] = np.arange(len(clip)) / 4
    rows = [pack_row(PREFIX + [4] * len(clip) * keep, [TURN], 40, 4).row for clip in clips]
    return stack(rows) | {"pixels": pixels, "times": times, "frame_mask": mask}


@pytest.mark.parametrize("queries", ["learned", "tokens", "mlp"])
def test_a_clip_and_an_image_answer_alike_however_far_they_are_padded(random_params, queries):
    config = make(queries)
    params = random_params(config)
    answer = jax.jit(partial(lvlm.answer_logits, config, keep=4))
    clip = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    clips = [clip, clip[:3], clip[:1]]
    read = 4 if queries != "learned" else config.adapter.count
    together = np.asarray(answer(params, batch_of(clips, 5, read)))
    for row, one in enumerate(clips):
        alone = batch_of([one], len(one), read)
        del alone["frame_mask"]  # nothing pads it
        np.testing.assert_allclose(together[row, :2], answer(params, alone)[0, :2], atol=1e-4)
