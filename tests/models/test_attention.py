"""Who may look at whom."""

from contextlib import nullcontext
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import attention as attention_module
from fewvid.models.attention import (
    attention,
    backend,
    mask_of_every_head,
    probabilities,
    segment_mask,
)


def test_the_mask_of_packed_turns():
    mask = np.asarray(segment_mask(np.array([[1, 1, 2, 2, 3, 3, 0, 0]])))[0, 0]
    assert ["".join(".x"[int(seen)] for seen in row) for row in mask] == [
        "x.......",
        "xx......",
        "xxx.....",
        "xxxx....",
        "xx..x...",
        "xx..xx..",
        "......x.",
        "......xx",
    ]


def test_grouped_queries_share_keys_in_order():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, 5, h, 4)).astype(np.float32) for h in (4, 2, 2))
    repeated = [np.repeat(x, 2, axis=2) for x in (k, v)]
    np.testing.assert_allclose(attention(q, k, v), attention(q, *repeated), atol=1e-6)
    weights = np.asarray(probabilities(q, repeated[0]))
    expected = np.einsum("bhst,bthd->bshd", weights, repeated[1])
    np.testing.assert_allclose(attention(q, k, v), expected, atol=1e-6)


def test_a_row_that_sees_nothing_stays_finite():
    q = np.ones((1, 2, 1, 4), np.float32)
    assert np.isfinite(attention(q, q, q, mask=np.zeros((1, 1, 2, 2), bool))).all()


def test_a_bias_weighs_the_keys():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 5, 2, 4)).astype(np.float32) for _ in range(3))
    weights = rng.uniform(0.1, 3, (2, 5)).astype(np.float32)
    bias = np.log(weights)[:, None, None]
    expected = np.asarray(probabilities(q, k)) * weights[:, None, None]
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities(q, k, bias), expected, rtol=1e-5)
    read = np.einsum("bhst,bthd->bshd", expected, v)
    np.testing.assert_allclose(attention(q, k, v, bias=bias), read, atol=1e-5)


def test_the_backend_is_what_fits_and_what_is_asked_for(monkeypatch):
    shape = (2, 64, 4, 16)
    monkeypatch.setattr("fewvid.models.attention._flash", lambda _: True)
    assert backend(shape, jnp.bfloat16) == "cudnn"
    assert backend(shape, jnp.float32) == "xla"
    assert backend((2, 64, 4, 12), jnp.bfloat16) == "xla"  # heads that cuDNN does not take
    assert backend((2, 1, 4, 16), jnp.bfloat16) == "xla"  # one query, in decoding
    monkeypatch.setenv("FEWVID_ATTENTION", "xla")
    assert backend(shape, jnp.bfloat16) == "xla"
    monkeypatch.setenv("FEWVID_ATTENTION", "cudnn")
    assert backend((2, 1, 4, 16), jnp.bfloat16) == "cudnn"
    with pytest.raises(UserError, match="float32 and heads of 16"):
        backend(shape, jnp.float32)
    monkeypatch.setenv("FEWVID_ATTENTION", "cuddn")
    with pytest.raises(UserError, match="Did you mean 'cudnn'"):
        backend(shape, jnp.bfloat16)


@pytest.mark.parametrize(
    ("platform", "capability", "expected"),
    [("gpu", "9.0", True), ("gpu", "7.5", False), ("gpu", "gfx90a", False), ("cpu", None, False)],
)
def test_flash_attention_is_of_newer_nvidia_gpus(platform, capability, expected):
    device = SimpleNamespace(platform=platform, compute_capability=capability)
    assert attention_module._flash(device) is expected


def test_no_backend_but_xla_on_a_cpu():
    if jax.default_backend() == "cpu":
        assert backend((2, 64, 4, 16), jnp.bfloat16) == "xla"


@pytest.mark.parametrize("every_head", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_cudnn_is_asked_for_what_it_takes(monkeypatch, masked, every_head):
    """Lengths of multiples of 8; what was added changes nothing. XLA stands in for the kernel."""
    asked = []

    def kernel(q, k, v, bias, mask, implementation):
        asked.append((q.shape, k.shape, mask.shape, implementation))
        return dot_product_attention(q, k, v, bias, mask, implementation="xla")

    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, n, 2, 8)).astype(np.float32) for n in (19, 21, 21))
    mask = rng.uniform(size=(2, 1, 19, 21)) < 0.5 if masked else None
    if mask is not None:
        mask[..., 0] = True
    dot_product_attention = jax.nn.dot_product_attention
    expected, back = jax.vjp(lambda *qkv: attention(*qkv, mask=mask), q, k, v)
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    monkeypatch.setattr("fewvid.models.attention.backend", lambda *_: "cudnn")
    with mask_of_every_head() if every_head else nullcontext():
        found, back_too = jax.vjp(lambda *qkv: attention(*qkv, mask=mask), q, k, v)
    heads = 2 if every_head else 1
    assert asked == [((2, 24, 2, 8), (2, 24, 2, 8), (2, heads, 24, 24), "cudnn")]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for one, other in zip(back(expected), back_too(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs a GPU")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_cudnn_agrees_with_xla(monkeypatch, kv_heads, masked):
    rng = np.random.default_rng(0)
    shapes = (2, 19, 4, 16), (2, 21, kv_heads, 16), (2, 21, kv_heads, 16)
    q, k, v = (jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes)
    mask = jnp.asarray(rng.uniform(size=(2, 1, 19, 21)) < 0.5).at[..., 0].set(True)

    def read(q, k, v):
        return attention(q, k, v, mask=mask if masked else None).astype(jnp.float32)

    found = {}
    for name in ("xla", "cudnn"):
        monkeypatch.setenv("FEWVID_ATTENTION", name)
        value, back = jax.vjp(read, q, k, v)
        found[name] = (value, *back(value))
    for one, other in zip(found["xla"], found["cudnn"], strict=True):
        np.testing.assert_allclose(one.astype(jnp.float32), other.astype(jnp.float32), atol=0.05)
