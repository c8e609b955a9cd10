"""A model for patches of half the side, from one that is trained: four times as many tokens.

Trained on for some hundred steps it is what took tens of thousands from nothing. The patch
embedding is resized as in FlexiViT (Beyer et al. 2023), here by adding up 2 x 2 pixels, so that an
even colour is still the same token; positions are interpolated as in ViT (Dosovitskiy et al. 2021).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fewvid.models.config import EncoderConfig, LvlmConfig


def halved(config: LvlmConfig) -> LvlmConfig:
    """The sizes of the model with patches of half the side. Raises ValueError for an odd side."""
    if config.encoder.patch_size % 2:
        raise ValueError(f"patches of {config.encoder.patch_size} pixels have no half")
    encoder = dataclasses.replace(config.encoder, patch_size=config.encoder.patch_size // 2)
    return dataclasses.replace(config, encoder=encoder)


def halve(config: LvlmConfig, params: Any) -> Any:
    """The parameters of `halved(config)` from those of `config`; only the encoder's change."""
    c = config.encoder
    encoder = dict(params["encoder"])
    fine = c.patch_size // 2
    kernel = jnp.asarray(encoder["patch"]["kernel"])
    kernel = kernel.reshape(fine, 2, fine, 2, 3, c.width).sum((1, 3))
    encoder["patch"] = {**encoder["patch"], "kernel": kernel.reshape(-1, c.width)}
    encoder["position"] = _positions(c, jnp.asarray(encoder["position"]), c.image_size // fine)
    return {**params, "encoder": encoder}


def _positions(c: EncoderConfig, position: jax.Array, grid: int) -> jax.Array:
    """float32[(1+)N,D] of another grid; that of a CLS token stays."""
    first = int(c.cls_token)
    old = position[first:].reshape(c.grid, c.grid, c.width)
    new = jax.image.resize(old, (grid, grid, c.width), "linear")
    return jnp.concatenate([position[:first], new.reshape(-1, c.width)])
