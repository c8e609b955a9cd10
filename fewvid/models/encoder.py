"""Encoder: a vision transformer that gives the patch tokens of a frame and their response.

The response (how much visual attention a token receives) is taken from the queries and keys of
the last layer alone: the CLS row where there is a CLS token, else the mean over all queries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fewvid.models.attention import attention, probabilities
from fewvid.models.config import EncoderConfig
from fewvid.models.dense import Dense
from fewvid.models.remat import rematerialised
from fewvid.models.spread import spread

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": partial(nn.gelu, approximate=False),
    "gelu_tanh": nn.gelu,
    "quick_gelu": lambda x: x * nn.sigmoid(1.702 * x),  # of the first CLIP models
}


class Block(nn.Module):
    """One pre-norm layer; its carry is (x float[F,S,D], response float32[F,N])."""

    config: EncoderConfig
    dtype: Any

    @nn.compact
    def __call__(self, carry: tuple[jax.Array, jax.Array], gives_response: jax.Array):
        c = self.config
        x, response = carry
        frames, length, _ = x.shape

        def dense(width: int, name: str) -> Dense:
            return Dense(width, dtype=self.dtype, name=name)

        def heads(y: jax.Array) -> jax.Array:
            return y.reshape(frames, length, c.heads, c.width // c.heads)

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(c.norm_eps, dtype=self.dtype, name=name)

        y = norm("norm1")(x)
        q, k, v = (heads(dense(c.width, f"attention_{n}")(y)) for n in "qkv")
        response = jax.lax.cond(
            gives_response, lambda: received(q, k, c.cls_token), lambda: response
        )
        x = spread(x + dense(c.width, "attention_out")(attention(q, k, v).reshape(x.shape)))
        y = ACTIVATIONS[c.activation](dense(c.mlp_width, "mlp_in")(norm("norm2")(x)))
        x = spread(x + dense(c.width, "mlp_out")(y))
        return (x, response), None


def received(q: jax.Array, k: jax.Array, cls_token: bool) -> jax.Array:
    """Visual attention received by each patch token, float32[F,N], mean over heads, sums to 1.

    q, k float[F,S,H,d]; with a CLS token it is token 0 and its row alone is looked at.
    """
    if cls_token:
        weights = probabilities(q[:, :1], k)[..., 1:]
        weights = weights / weights.sum(-1, keepdims=True)
    else:
        weights = probabilities(q, k)
    return weights.mean(axis=(1, 2))


def normalised(pixels: jax.Array, c: EncoderConfig) -> jax.Array:
    """(pixels / 255 - mean) / std, float32 of the same shape [...,3]."""
    scale, shift = 255 * np.array(c.std), np.array(c.mean) / np.array(c.std)
    return pixels.astype(jnp.float32) / scale.astype(np.float32) - shift.astype(np.float32)


class Encoder(nn.Module):
    """float or uint8 pixels [F,H,W,3] in 0..255 -> (tokens float[F,N,D], response float32[F,N]).

    remat: one of `models.remat.NAMES`. frozen_layers: so many from the first
    on take no gradient: a step goes back through those after them alone, and keeps no activation of
    others.
    """

    config: EncoderConfig
    dtype: Any = jnp.float32
    remat: str = "none"
    frozen_layers: int = 0

    @nn.compact
    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        c = self.config
        frames = pixels.shape[0]
        whole = c.grid * c.patch_size
        x = normalised(pixels[:, :whole, :whole], c).astype(self.dtype)
        x = x.reshape(frames, c.grid, c.patch_size, c.grid, c.patch_size, 3)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(frames, c.tokens, -1)
        x = Dense(c.width, c.patch_bias, dtype=self.dtype, name="patch")(x)
        if c.cls_token:
            cls = self.param("cls", nn.initializers.normal(0.02), (c.width,))
            cls = jnp.broadcast_to(cls.astype(self.dtype), (frames, 1, c.width))
            x = jnp.concatenate([cls, x], axis=1)
        shape = (x.shape[1], c.width)
        x = x + self.param("position", nn.initializers.normal(0.02), shape).astype(self.dtype)
        if c.pre_norm:
            x = nn.LayerNorm(c.norm_eps, dtype=self.dtype, name="norm_pre")(x)
        x = spread(x)
        block = rematerialised(Block, self.remat)
        response = jnp.zeros((frames, c.tokens), jnp.float32)
        is_last = jnp.arange(c.depth) == c.depth - 1
        if self.frozen_layers and not self.is_initializing():
            stacked = self.get_variable("params", "layers")
            one = block(c, self.dtype, parent=None)
            x, response = _in_two_loops(one, stacked, (x, response), is_last, self.frozen_layers)
        else:
            layers = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                length=c.depth,
            )
            (x, response), _ = layers(c, self.dtype, name="layers")((x, response), is_last)
        if c.post_norm:
            x = nn.LayerNorm(c.norm_eps, dtype=self.dtype, name="norm")(x)
        return (x[:, 1:] if c.cls_token else x), response


def _in_two_loops(
    block: Block, stacked: Any, carry: tuple[jax.Array, jax.Array], is_last: jax.Array, frozen: int
) -> tuple[jax.Array, jax.Array]:
    """Through all layers, of which the first `frozen` and their input take no gradient."""

    def layer(carry: Any, each: tuple[Any, jax.Array]) -> Any:
        params, last = each
        return block.apply({"params": params}, carry, last)

    first, rest = (
        jax.tree.map(lambda leaf, part=part: leaf[part], (stacked, is_last))
        for part in (slice(frozen), slice(frozen, None))
    )
    # Of the parameters too: else the first loop keeps what their gradients would need.
    carry, _ = jax.lax.scan(layer, *jax.lax.stop_gradient((carry, first)))
    return jax.lax.scan(layer, jax.lax.stop_gradient(carry), rest)[0]
