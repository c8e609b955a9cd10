"""A model for smaller patches, made from a trained one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.models import lvlm
from fewvid.models.config import EncoderConfig, LvlmConfig
from fewvid.models.patches import halve, halved


@pytest.mark.parametrize("cls_token", [True, False])
def test_an_even_frame_has_the_same_patch_tokens(cls_token):
    """Before positions: half the patch, half the sum of pixels, weights that add up to the same."""
    config = LvlmConfig.tiny()
    encoder = dataclasses.replace(EncoderConfig.tiny(), cls_token=cls_token)
    config = dataclasses.replace(config, encoder=encoder)
    params = lvlm.init(config, jax.random.key(0))
    fine = halve(config, params)
    assert jax.tree.map(jnp.shape, fine) == jax.tree.map(
        jnp.shape, lvlm.init(halved(config), jax.random.key(0))
    )
    colour = np.array([0.2, -0.4, 0.9], np.float32)
    tokens = [
        np.tile(colour, size**2) @ tree["encoder"]["patch"]["kernel"]
        for size, tree in ((config.encoder.patch_size, params), (encoder.patch_size // 2, fine))
    ]
    np.testing.assert_allclose(tokens[0], tokens[1], atol=1e-5)
    for part in ("adapter", "decoder"):
        assert fine[part] is params[part]


def test_a_place_keeps_its_position():
    config = LvlmConfig.tiny()
    params = lvlm.init(config, jax.random.key(0))
    grid = config.encoder.grid
    ramp = np.arange(grid, dtype=np.float32)  # positions that say how far down a patch is
    ramp = np.repeat(ramp, grid)[:, None] * np.ones(config.encoder.width, np.float32)
    encoder = {**params["encoder"], "position": np.concatenate([np.full_like(ramp[:1], -7), ramp])}
    fine = halve(config, {**params, "encoder": encoder})["encoder"]["position"]
    np.testing.assert_array_equal(fine[0], -7)  # of the CLS token
    down = np.asarray(fine[1:]).reshape(2 * grid, 2 * grid, -1)[:, 0, 0]
    np.testing.assert_allclose(down[1:-1], (np.arange(1, 2 * grid - 1) - 0.5) / 2, atol=1e-5)


def test_an_odd_patch_has_no_half():
    encoder = dataclasses.replace(EncoderConfig.tiny(), patch_size=7)
    with pytest.raises(ValueError, match="7 pixels"):
        halved(dataclasses.replace(LvlmConfig.tiny(), encoder=encoder))
