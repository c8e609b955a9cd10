"""Bytes that go in and out of memory in one forward pass, counted from a model's sizes.

What goes in and out of the products of matrices; norms and additions are taken to be fused with
them. Weights are not in it: how often they are read depends on where they lie.
"""

from __future__ import annotations

from fewvid.models.config import LvlmConfig

SCORES = 12  # bytes of one attention score, in and out: float32, then the 16 bits multiplied with


def encoder(config: LvlmConfig, frames: int, size: int, *, scores: bool) -> float:
    """Of so many frames. size: bytes of a number; scores: whether attention writes its scores."""
    c = config.encoder
    length = c.tokens + c.cls_token
    wide = 2 * (4 * c.width + c.mlp_width) + 4 * c.width
    held = SCORES * scores * c.heads * length**2
    return frames * c.depth * (size * length * wide + held)


def decoder(config: LvlmConfig, length: int, size: int, *, scores: bool) -> float:
    """Of a row of `length` tokens, but for the head; size and scores as for `encoder`."""
    c = config.decoder
    heads = (2 * c.heads + 2 * c.kv_heads) * c.head_dim
    wide = heads + 5 * c.mlp_width + 8 * c.width
    held = SCORES * scores * c.heads * length**2
    return c.depth * (size * length * wide + held)
