"""Decoder: a Llama-family language model over embeddings, with an explicit key-value cache.

Its layers are stacked along axis 0 and looped over, which compiles fast; or `unrolled`, each with
weights of its own. A loop takes every layer's weights out of the stack before it multiplies with
them, and that is three times the memory traffic of a decoding step: who generates, unrolls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from fewvid.models.attention import attention
from fewvid.models.config import DecoderConfig
from fewvid.models.dense import Dense
from fewvid.models.remat import rematerialised
from fewvid.models.rotary import frequencies, rotate
from fewvid.models.spread import spread


class Cache(NamedTuple):
    """Keys and values of every layer, float[depth,B,S,H_kv,d]; slot s holds position s of a row.

    Where the decoder is unrolled, each is a tuple of `depth` arrays float[B,S,H_kv,d].
    """

    k: Any
    v: Any

    @property
    def length(self) -> int:
        """S, the slots there are."""
        return jax.tree.leaves(self.k)[0].shape[-3]


def new_cache(
    config: DecoderConfig,
    batch: int,
    length: int,
    dtype: Any = jnp.float32,
    *,
    unrolled: bool = False,
) -> Cache:
    """An empty cache for `batch` rows of up to `length` positions."""
    shape = (batch, length, config.kv_heads, config.head_dim)
    if unrolled:
        empty = [tuple(jnp.zeros(shape, dtype) for _ in range(config.depth)) for _ in "kv"]
        return Cache(*empty)
    return Cache(*(jnp.zeros((config.depth, *shape), dtype) for _ in "kv"))


def near(positions: jax.Array, keys: jax.Array, window: int) -> jax.Array:
    """bool[B,1,L,S]: which keys (positions int32[B,S] or [1,S]) are fewer than `window` back."""
    return (positions[:, :, None] - keys[:, None, :] < window)[:, None]


class Block(nn.Module):
    """One pre-norm layer: grouped-query attention with rotary positions, then SwiGLU."""

    config: DecoderConfig
    dtype: Any

    @nn.compact
    def __call__(
        self, x: jax.Array, positions: jax.Array, mask: jax.Array | None, cache: Cache | None
    ):
        c = self.config
        batch, length, _ = x.shape

        def dense(width: int, name: str, bias: bool) -> Dense:
            return Dense(width, use_bias=bias, dtype=self.dtype, name=name)

        def norm(name: str) -> nn.RMSNorm:
            return nn.RMSNorm(epsilon=c.norm_eps, dtype=self.dtype, name=name)

        def heads(y: jax.Array, count: int) -> jax.Array:
            return y.reshape(batch, length, count, c.head_dim)

        y = norm("norm1")(x)
        q = heads(dense(c.heads * c.head_dim, "attention_q", c.qkv_bias)(y), c.heads)
        k = heads(dense(c.kv_heads * c.head_dim, "attention_k", c.qkv_bias)(y), c.kv_heads)
        v = heads(dense(c.kv_heads * c.head_dim, "attention_v", c.qkv_bias)(y), c.kv_heads)
        if c.qk_norm:
            q, k = norm("norm_q")(q), norm("norm_k")(k)
        frequency = frequencies(c, positions)
        q, k = (rotate(x, positions, frequency, c.rope_attention) for x in (q, k))
        if cache is not None:
            row = jnp.arange(batch)[:, None]
            cache = Cache(
                cache.k.at[row, positions].set(k.astype(cache.k.dtype), mode="drop"),
                cache.v.at[row, positions].set(v.astype(cache.v.dtype), mode="drop"),
            )
            if mask is not None:
                k, v = cache.k.astype(self.dtype), cache.v.astype(self.dtype)
        y = attention(q, k, v, mask=mask, causal=mask is None).reshape(batch, length, -1)
        x = spread(x + dense(c.width, "attention_out", c.out_bias)(y))
        y = norm("norm2")(x)
        gate = nn.silu(dense(c.mlp_width, "mlp_gate", c.mlp_bias)(y))
        y = gate * dense(c.mlp_width, "mlp_in", c.mlp_bias)(y)
        return spread(x + dense(c.width, "mlp_out", c.mlp_bias)(y)), cache


class Decoder(nn.Module):
    """Embeddings float[B,L,D] -> hidden float[B,L,D], normalised, ready for `logits`.

    unrolled: see the module's words; its parameters are those that `unroll` makes.
    """

    config: DecoderConfig
    dtype: Any = jnp.float32
    remat: str = "none"  # one of `models.remat.NAMES`
    unrolled: bool = False

    def setup(self) -> None:
        c = self.config
        self.embedding = self.param(
            "embedding", nn.initializers.normal(0.02), (c.vocab_size, c.width)
        )
        if not c.tie_embeddings:
            self.head = self.param("head", nn.initializers.normal(0.02), (c.width, c.vocab_size))
        block = rematerialised(Block, self.remat)
        if self.unrolled:
            self.layers = [block(c, self.dtype) for _ in range(c.depth)]
        else:
            scan = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                in_axes=cast(Any, (nn.broadcast, nn.broadcast, 0)),  # flax types one argument's
                length=c.depth,
            )
            self.layers = scan(c, self.dtype)
        self.norm = nn.RMSNorm(epsilon=c.norm_eps, dtype=self.dtype)

    def embed(self, tokens: jax.Array) -> jax.Array:
        """int32[B,L] -> float[B,L,D]: zeros where an id is not in the vocabulary."""
        table = jnp.asarray(self.embedding, self.dtype)
        return table.at[tokens].get(mode="fill", fill_value=0)

    def __call__(
        self,
        embeddings: jax.Array,
        positions: jax.Array,
        mask: jax.Array | None = None,
        cache: Cache | None = None,
    ) -> tuple[jax.Array, Cache | None]:
        """positions int32[B,L]; mask bool[B,1,L,L], or [B,1,L,S] with a cache of S slots.

        Without a mask every token looks at itself and those before it in its row; a cache is then
        filled and not looked at. A position beyond the cache is dropped, never wrapped.
        """
        window = self.config.window
        if window is not None and mask is None and window < positions.shape[1]:
            mask = jnp.tril(jnp.ones((positions.shape[1],) * 2, bool))[None, None]
            if cache is not None:
                rest = cache.length - positions.shape[1]
                mask = jnp.pad(mask, ((0, 0),) * 3 + ((0, rest),))
        if window is not None and mask is not None:
            keys = positions if cache is None else jnp.arange(cache.length)[None]
            mask = mask & near(positions, keys, window)
        embeddings = spread(embeddings)
        if isinstance(self.layers, nn.Module):
            x, cache = self.layers(embeddings, positions, mask, cache)
        else:
            x, cache = self._each(embeddings, positions, mask, cache)
        return self.norm(x), cache

    def _each(
        self, x: jax.Array, positions: jax.Array, mask: jax.Array | None, cache: Cache | None
    ):
        """Layer after layer, each with its own part of the cache."""
        filled = []
        for i, layer in enumerate(cast(Any, self.layers)):
            own = None if cache is None else Cache(cache.k[i], cache.v[i])
            x, own = layer(x, positions, mask, own)
            filled.append(own)
        if cache is None:
            return x, None
        return x, Cache(tuple(own.k for own in filled), tuple(own.v for own in filled))

    def logits(self, hidden: jax.Array) -> jax.Array:
        """float[...,D] -> float32[...,V]; called only where a loss or a next token needs it."""
        if self.config.tie_embeddings and hidden.ndim == 2:
            # The next token of few rows: on a CPU the table in front is read five times as fast.
            table = self.embedding.astype(self.dtype)
            return jnp.matmul(table, hidden.T, preferred_element_type=jnp.float32).T
        head = self.embedding.T if self.config.tie_embeddings else self.head
        return jnp.matmul(
            hidden, head.astype(self.dtype), preferred_element_type=jnp.float32
        ).astype(jnp.float32)


def unroll(params: Mapping[str, Any]) -> dict[str, Any]:
    """The decoder's parameters with a tree a layer in place of the stack: `unrolled` reads them.

    Of numpy arrays each is a view, of jax arrays a copy.
    """
    layers = params["layers"]
    depth = len(jax.tree.leaves(layers)[0])
    own = {f"layers_{i}": jax.tree.map(lambda leaf, i=i: leaf[i], layers) for i in range(depth)}
    return {name: tree for name, tree in params.items() if name != "layers"} | own


def is_unrolled(params: Mapping[str, Any]) -> bool:
    """Whether `unroll` made these parameters of a decoder."""
    return "layers_0" in params
