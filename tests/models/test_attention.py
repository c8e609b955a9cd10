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
    holds_scores,
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


def test_scores_go_through_memory_where_no_kernel_holds_them_back(monkeypatch):
    monkeypatch.delenv("FEWVID_ATTENTION", raising=False)
    assert holds_scores("cpu", jnp.bfloat16, 2048)
    assert holds_scores("gpu", "float32", 577)
    assert not holds_scores("gpu", "bfloat16", 577)
    assert holds_scores("tpu", "bfloat16", 577)  # too short for splash
    assert not holds_scores("tpu", "bfloat16", 2048)
    monkeypatch.setenv("FEWVID_ATTENTION", "xla")
    assert holds_scores("gpu", "bfloat16", 577)
    assert holds_scores("tpu", "bfloat16", 2048)


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


def test_causal_is_the_mask_of_that_shape():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, n, 2, 8)).astype(np.float32) for n in (5, 7, 7))
    mask = np.tril(np.ones((1, 1, 5, 7), bool))
    np.testing.assert_allclose(
        attention(q, k, v, causal=True), attention(q, k, v, mask=mask), atol=1e-6
    )
    with pytest.raises(AssertionError, match="one of both"):
        attention(q, k, v, mask=mask, causal=True)


@pytest.mark.parametrize("every_head", [False, True])
@pytest.mark.parametrize("how", ["all", "causal", "masked"])
def test_cudnn_is_asked_for_what_it_takes(monkeypatch, how, every_head):
    """Lengths of multiples of 8, with a mask or to go back; what was added changes nothing."""
    asked = []

    def kernel(q, k, v, bias=None, mask=None, *, is_causal=False, implementation, **lengths):
        asked.append((q.shape, k.shape, mask is None or mask.shape, is_causal, implementation))
        assert [set(map(int, n)) for n in lengths.values()] in ([], [{19}, {21}])
        given = {"is_causal": is_causal, "implementation": "xla"}  # it stands in
        return dot_product_attention(q, k, v, bias, mask, **given, **lengths)

    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, n, 2, 8)).astype(np.float32) for n in (19, 21, 21))
    options: dict = {"causal": how == "causal"}
    if how == "masked":
        options["mask"] = rng.uniform(size=(2, 1, 19, 21)) < 0.5
        options["mask"][..., 0] = True
    dot_product_attention = jax.nn.dot_product_attention
    expected, back = jax.vjp(lambda *qkv: attention(*qkv, **options), q, k, v)
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    monkeypatch.setattr("fewvid.models.attention.backend", lambda *_: "cudnn")
    with mask_of_every_head() if every_head else nullcontext():
        found, back_too = jax.vjp(lambda *qkv: attention(*qkv, **options), q, k, v)
    heads = 2 if every_head else 1
    filled = (2, 24, 2, 8), (2, 24, 2, 8), (2, heads, 24, 24), False, "cudnn"
    to_go_back = *filled[:2], True, how == "causal", "cudnn"
    assert asked == [filled if how == "masked" else to_go_back]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for one, other in zip(back(expected), back_too(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for queries, keys in ((19, 21), (18, 20)) if how != "masked" else ():
        asked.clear()  # forward alone, and where lengths are even, they are taken as they are
        few = q[:, :queries], k[:, :keys], v[:, :keys]
        expected = dot_product_attention(*few, is_causal=how == "causal", implementation="xla")
        np.testing.assert_allclose(attention(*few, **options), expected, atol=1e-6)
        assert asked == [(few[0].shape, few[1].shape, True, how == "causal", "cudnn")]


def decoder_mask(length):
    """Of two packed turns behind a prefix, and of padding, as a decoder is given it."""
    thirds = jnp.arange(length) * 3 // length
    return segment_mask(jnp.stack([thirds + 1, jnp.where(thirds < 2, 1, 0)]))


SHAPES = {  # queries, keys, heads of them, width of a head
    "odd lengths": (19, 21, 4, 16),
    "grouped": (19, 21, 2, 16),
    "an encoder's": (577, 577, 4, 64),
    "a decoder's": (333, 333, 1, 128),
}


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs a GPU")
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("how", ["all", "causal", "masked"])
@pytest.mark.parametrize("name", SHAPES)
def test_cudnn_agrees_with_xla(monkeypatch, name, how, many):
    """Forward and back; masks and padding; `many`: of models side by side, under `vmap`."""
    rng = np.random.default_rng(0)
    queries, keys, kv_heads, width = SHAPES[name]
    shapes = (2, queries, 4, width), *[(2, keys, kv_heads, width)] * 2
    q, k, v = (jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes)
    mask = jnp.asarray(rng.uniform(size=(2, 1, queries, keys)) < 0.5).at[..., 0].set(True)
    if name == "a decoder's":
        mask = decoder_mask(queries)

    def read(q, k, v):
        given = {"mask": mask} if how == "masked" else {"causal": how == "causal"}
        return attention(q, k, v, **given).astype(jnp.float32)

    found = {}
    for backend_name in ("xla", "cudnn"):
        monkeypatch.setenv("FEWVID_ATTENTION", backend_name)
        with mask_of_every_head() if many else nullcontext():
            models = [jnp.stack([x, x[::-1]]) for x in (q, k, v)] if many else (q, k, v)
            value, back = jax.vjp(jax.vmap(read) if many else read, *models)
            found[backend_name] = (value, *back(value))
    for one, other in zip(found["xla"], found["cudnn"], strict=True):
        one, other = (np.asarray(x, np.float32) for x in (one, other))
        np.testing.assert_allclose(one, other, atol=0.05, rtol=0.01)  # bfloat16 has 8 bits
