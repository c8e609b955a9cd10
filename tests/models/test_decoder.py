"""The decoder against the same sums written out, and its tied and untied heads."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.models import decoder as decoding
from fewvid.models import lvlm
from fewvid.models.config import DecoderConfig, LvlmConfig
from fewvid.models.decoder import Decoder
from fewvid.models.rotary import rotate

DECODER = DecoderConfig(
    vocab_size=20, width=16, depth=2, heads=4, kv_heads=2, head_dim=6, mlp_width=24
)


ALL = {"qk_norm": True, "qkv_bias": True, "out_bias": True, "mlp_bias": True, "window": 3}


def norm(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + DECODER.norm_eps) * scale


def dense(x, p):
    return x @ p["kernel"] + p.get("bias", 0)


def turn(x, theta):
    """Llama's rotary embedding of x [L,d]: pair (i, i + d/2) by position / theta^(2i/d)."""
    half = x.shape[-1] // 2
    z = x[:, :half] + 1j * x[:, half:]
    angle = np.arange(len(x))[:, None] * theta ** (-2 * np.arange(half) / x.shape[-1])
    z = z * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], axis=-1)


def by_hand(c, params, tokens):
    """float[L,V]: one row, head by head."""
    x = params["embedding"][tokens]
    length = len(tokens)
    for layer in range(c.depth):
        p = jax.tree.map(lambda array, layer=layer: array[layer], params["layers"])
        y = norm(x, p["norm1"]["scale"])
        q, k, v = (dense(y, p[f"attention_{n}"]) for n in "qkv")
        back = np.arange(length)[:, None] - np.arange(length)
        seen = (back >= 0) & (back < (c.window or length))
        read = []
        for head in range(c.heads):
            own = slice(head * c.head_dim, (head + 1) * c.head_dim)
            group = head // (c.heads // c.kv_heads)
            shared = slice(group * c.head_dim, (group + 1) * c.head_dim)
            one, other = q[:, own], k[:, shared]
            if c.qk_norm:
                one, other = norm(one, p["norm_q"]["scale"]), norm(other, p["norm_k"]["scale"])
            logits = turn(one, c.rope_theta) @ turn(other, c.rope_theta).T
            logits = np.where(seen, logits / np.sqrt(c.head_dim), -np.inf)
            weights = np.exp(logits)
            read.append(weights / weights.sum(-1, keepdims=True) @ v[:, shared])
        x = x + dense(np.concatenate(read, -1), p["attention_out"])
        y = norm(x, p["norm2"]["scale"])
        gate = dense(y, p["mlp_gate"])
        gate = gate / (1 + np.exp(-gate))
        x = x + dense(gate * dense(y, p["mlp_in"]), p["mlp_out"])
    head = params["embedding"].T if c.tie_embeddings else params["head"]
    return norm(x, params["norm"]["scale"]) @ head


@pytest.mark.parametrize("settings", [{}, {"tie_embeddings": False}, ALL], ids=str)
def test_grouped_queries_rotary_and_swiglu_as_written_out(random_params, settings):
    decoder = dataclasses.replace(DECODER, **settings)
    config = dataclasses.replace(LvlmConfig.tiny(), decoder=decoder)
    params = random_params(config)
    tokens = np.random.default_rng(0).integers(5, 20, (2, 7))
    batch = {
        "tokens": tokens,
        "segments": np.ones_like(tokens),
        "positions": np.broadcast_to(np.arange(7), tokens.shape),
        "answer_positions": np.broadcast_to(np.arange(7), tokens.shape),
    }
    found = jax.jit(partial(lvlm.answer_logits, config))(params, batch)
    assert found.dtype == np.float32
    for row in range(2):
        wanted = by_hand(decoder, params["decoder"], tokens[row])
        np.testing.assert_allclose(found[row], wanted, atol=1e-4)


def test_rotation_keeps_lengths_and_sees_distances_only():
    q, k = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)).astype(np.float32)
    speeds = 1e4 ** (-np.arange(4) / 4)
    turned = lambda x, p: rotate(x, np.array([[p]]), speeds)  # noqa: E731
    lengths = [float(np.linalg.norm(turned(q, p))) for p in (0, 5, 99)]
    np.testing.assert_allclose(lengths, np.linalg.norm(q), rtol=1e-5)
    dots = [float((turned(q, p + 3) * turned(k, p)).sum()) for p in (0, 7, 40)]
    np.testing.assert_allclose(dots, dots[0], atol=1e-4)


def test_unrolled_layers_say_what_stacked_ones_say():
    config = LvlmConfig.tiny()
    params = lvlm.init(config, jax.random.key(0))
    apart = lvlm.unrolled(params)
    assert lvlm.is_unrolled(apart)
    assert lvlm.unrolled(apart) == apart
    ids = jnp.arange(5, 11)[None]
    said = {}
    for name, given in (("stacked", params), ("apart", apart)):
        cache = lvlm.new_cache(config, 1, 8, unrolled=lvlm.is_unrolled(given))
        assert cache.length == 8
        batch = {"tokens": ids, "segments": jnp.ones_like(ids), "positions": jnp.arange(6)[None]}
        first, cache = lvlm.prefill(config, given, batch, cache, jnp.array([5]))
        second, _ = lvlm.decode_step(config, given, jnp.array([7]), jnp.array([6]), cache)
        said[name] = np.stack([first, second])
    np.testing.assert_allclose(said["apart"], said["stacked"], rtol=1e-5, atol=1e-5)
    assert np.abs(said["apart"]).max() > 0.01


@pytest.mark.parametrize("slots", [None, 9])
@pytest.mark.parametrize("window", [None, 3, 50])
def test_without_a_mask_it_reads_from_left_to_right(window, slots):
    """As with the causal mask; the cache is filled alike."""
    config = dataclasses.replace(DECODER, window=window)
    module, length = Decoder(config), 6
    x = jax.random.normal(jax.random.key(0), (2, length, config.width))
    at = jnp.broadcast_to(jnp.arange(length), (2, length))
    mask = jnp.tril(jnp.ones((1, 1, length, length), bool))
    params = module.init(jax.random.key(1), x, at, mask)
    cache = None
    if slots:
        cache = decoding.new_cache(config, 2, slots)
        mask = jnp.pad(mask, ((0, 0),) * 3 + ((0, slots - length),))
    expected, filled = module.apply(params, x, at, mask, cache)
    found, filled_too = module.apply(params, x, at, cache=cache)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for one, other in zip(jax.tree.leaves(filled), jax.tree.leaves(filled_too), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
