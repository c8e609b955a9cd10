"""The response: what the last layer's queries pay to each patch."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.models import lvlm
from fewvid.models.config import EncoderConfig, LvlmConfig


def norm(x, p):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def by_hand(config, params, pixels):
    """The encoder as the paper has it, frame by frame: (tokens [N,D], response [N])."""
    grid, size = config.grid, config.patch_size
    act = gelu if config.activation == "gelu_tanh" else quick_gelu
    x = (pixels.astype(np.float32) / 255 - np.array(config.mean)) / np.array(config.std)
    patches = [
        x[size * i : size * (i + 1), size * j : size * (j + 1)].ravel()
        for i in range(grid)
        for j in range(grid)
    ]
    x = np.stack(patches) @ params["patch"]["kernel"] + params["patch"].get("bias", 0)
    if config.cls_token:
        x = np.concatenate([params["cls"][None], x])
    x = x + params["position"]
    if config.pre_norm:
        x = norm(x, params["norm_pre"])
    for layer in range(config.depth):
        p = jax.tree.map(lambda array, layer=layer: array[layer], params["layers"])
        y = norm(x, p["norm1"])
        q, k, v = (
            dense(y, p[f"attention_{n}"]).reshape(len(y), config.heads, -1).swapaxes(0, 1)
            for n in "qkv"
        )
        weights = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]))
        weights /= weights.sum(-1, keepdims=True)
        x = x + dense((weights @ v).swapaxes(0, 1).reshape(len(y), -1), p["attention_out"])
        x = x + dense(act(dense(norm(x, p["norm2"]), p["mlp_in"])), p["mlp_out"])
    if config.cls_token:
        row = weights[:, 0, 1:]
        response = (row / row.sum(-1, keepdims=True)).mean(0)
    else:
        response = weights.mean((0, 1))
    if config.post_norm:
        x = norm(x, params["norm"])
    return x[1:] if config.cls_token else x, response


CLIP = {
    "image_size": 35,  # of which the last 3 pixels are no whole patch
    "pre_norm": True,
    "post_norm": False,
    "patch_bias": False,
    "activation": "quick_gelu",
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
}


@pytest.mark.parametrize("settings", [{}, {"cls_token": False}, CLIP], ids=["cls", "mean", "clip"])
def test_tokens_and_response_are_those_worked_out_by_hand(random_params, settings):
    encoder = dataclasses.replace(EncoderConfig.tiny(), **settings)
    config = dataclasses.replace(LvlmConfig.tiny(), encoder=encoder)
    params = random_params(config)
    pixels = np.random.default_rng(0).integers(
        0, 256, (2, 2, encoder.image_size, encoder.image_size, 3), np.uint8
    )
    only = {"encoder": params["encoder"]}
    found = jax.jit(partial(lvlm.encode, config))(only, pixels)
    assert found.tokens.shape == (2, 2, encoder.tokens, encoder.width)
    np.testing.assert_allclose(found.response.sum(-1), 1, atol=1e-5)
    for b, t in ((0, 0), (1, 1)):
        tokens, response = by_hand(encoder, params["encoder"], pixels[b, t])
        np.testing.assert_allclose(found.tokens[b, t], tokens, atol=1e-4)
        np.testing.assert_allclose(found.response[b, t], response, atol=1e-6)
