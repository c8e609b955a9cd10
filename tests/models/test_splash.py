"""Splash attention, a TPU's, against XLA's: interpreted on a CPU, and compiled for a real slice."""

import dataclasses
import importlib.util
import re
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewvid.errors import UserError
from fewvid.models import attention as attention_module
from fewvid.models import lvlm
from fewvid.models.attention import attention, backend, placed, segment_mask
from fewvid.models.config import DecoderConfig, LvlmConfig
from fewvid.models.decoder import Decoder
from fewvid.models.splash import block, splash
from fewvid.parallel.mesh import HEADS, ROWS, make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training import trainable as subtree
from fewvid.training.step import make_program

LENGTH = 200  # two blocks of 128 each way, of which one is empty


@pytest.fixture
def interpreted(monkeypatch):
    """Every call is splash attention's, in plain operations and the smallest of blocks."""
    monkeypatch.setattr("fewvid.models.splash.BLOCKS", (128,))
    monkeypatch.setattr(attention_module, "backend", lambda *_: "splash")
    monkeypatch.setattr(attention_module, "splash", partial(splash, interpret=True))


def packed(rows=2, length=LENGTH):
    """Segments of turns behind a shared prefix, and padding; the second row is plain causal."""
    segments = np.zeros((rows, length), np.int32)
    for row in range(rows):
        prefix = length // 3 + row
        segments[row, : length - 40 - row] = 1
        if row != 1:
            segments[row, prefix : prefix + 20] = 2
            segments[row, prefix + 20 : length - 40 - row] = 3
    return segments


def tensors(rows=2, queries=LENGTH, keys=LENGTH, heads=4, kv_heads=2, size=16, dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = (rows, queries, heads, size), *[(rows, keys, kv_heads, size)] * 2
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def value_and_gradients(read, q, k, v):
    """What a loss makes of it, in float32: one that weighs every number of the output."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=q.shape), jnp.float32)
    loss = lambda *qkv: (read(*qkv).astype(jnp.float32) * weights).sum()  # noqa: E731
    return jax.jit(read)(q, k, v), *jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(q, k, v)


def agree(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        one, other = (np.asarray(x, np.float32) for x in (one, other))
        np.testing.assert_allclose(one, other, atol=tolerance)


@pytest.mark.parametrize("masked", [True, False])
def test_it_agrees_with_xla(request, masked):
    """The turns of packed rows; of a row that sees nothing it is asked that it is finite."""
    mask, (q, k, v) = segment_mask(packed()).at[:, :, 5].set(False), tensors()
    mask = mask if masked else None
    blind = jnp.arange(LENGTH) == (5 if masked else -1)

    def read(q, k, v):
        return jnp.where(blind[:, None, None], 0, attention(q, k, v, mask=mask))

    expected = value_and_gradients(read, q, k, v)
    request.getfixturevalue("interpreted")
    agree(value_and_gradients(read, q, k, v), expected, 2e-5)
    assert np.isfinite(attention(q, k, v, mask=mask)).all()


def test_it_agrees_in_16_bits_where_fewer_queries_read_a_cache(request):
    q, k, v = tensors(queries=40, keys=LENGTH, dtype=jnp.bfloat16)
    mask = jnp.pad(segment_mask(packed()[:, :40]), ((0, 0),) * 3 + ((0, LENGTH - 40),))
    read = partial(attention, mask=mask)
    expected = value_and_gradients(read, q, k, v)
    request.getfixturevalue("interpreted")
    agree(value_and_gradients(read, q, k, v), expected, 0.06)


@pytest.mark.parametrize(("heads", "kv_heads", "rows"), [(4, 2, 4), (3, 1, 4), (4, 2, 1)])
def test_it_is_split_over_a_mesh(request, heads, kv_heads, rows):
    """Heads or rows that do not divide are whole on every device, and counted once."""
    mask, (q, k, v) = segment_mask(packed(rows)), tensors(rows, heads=heads, kv_heads=kv_heads)
    read = partial(attention, mask=mask)
    expected = value_and_gradients(read, q, k, v)
    request.getfixturevalue("interpreted")
    with placed(make_mesh(2, 2, 2), ROWS, HEADS):
        agree(value_and_gradients(read, q, k, v), expected, 2e-5)


def test_the_decoder_trains_with_it(request):
    """Through the loop over layers, remat and models side by side (`vmap`)."""
    config = DecoderConfig(vocab_size=8, width=32, depth=2, heads=4, kv_heads=2, mlp_width=32)
    module, segments = Decoder(config, remat="full"), packed()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(*segments.shape, 32)), jnp.float32)
    rest = jnp.broadcast_to(jnp.arange(LENGTH), segments.shape), segment_mask(segments)
    init = lambda key: module.init(key, x, *rest)  # noqa: E731
    params = jax.vmap(init)(jax.random.split(jax.random.key(0), 2))

    def loss(params):
        return (module.apply(params, x, *rest)[0] ** 3).mean()

    step = jax.vmap(jax.value_and_grad(loss))
    expected = jax.jit(step)(params)
    request.getfixturevalue("interpreted")
    found = jax.jit(lambda params: step(params))(params)
    agree(jax.tree.leaves(found), jax.tree.leaves(expected), 2e-5)


def test_blocks_add_little():
    assert [block(n) for n in (200, 300, 577, 1024, 2112)] == [256, 384, 384, 512, 384]


def on_a(monkeypatch, platform, count=1):
    device = SimpleNamespace(platform=platform, device_kind=platform)
    monkeypatch.setattr(jax, "devices", lambda: [device] * count)
    monkeypatch.setattr(jax, "device_count", lambda: count)


def test_where_it_is_chosen(monkeypatch):
    long, short = (2, 1024, 4, 64), (2, 1000, 4, 64)
    on_a(monkeypatch, "tpu")
    assert backend(long, jnp.bfloat16) == backend(long, jnp.float32) == "splash"
    assert backend(long, jnp.float16) == backend(short, jnp.bfloat16) == "xla"
    assert backend(long, jnp.bfloat16, 200) == "xla"  # few keys
    on_a(monkeypatch, "tpu", 4)  # of a program's split nothing is known, until it is said
    assert backend(long, jnp.bfloat16) == "xla"
    mesh = SimpleNamespace(devices=np.array(jax.devices()))
    with placed(mesh, ROWS, HEADS):
        assert backend(long, jnp.bfloat16) == "splash"
    monkeypatch.setenv("FEWVID_ATTENTION", "splash")
    assert backend(short, jnp.bfloat16) == "splash"
    assert backend((2, 1, 4, 64), jnp.bfloat16, 2048) == "xla"  # a decoding step
    monkeypatch.setenv("FEWVID_ATTENTION", "xla")
    assert backend(long, jnp.bfloat16) == "xla"


def test_where_it_is_refused(monkeypatch):
    monkeypatch.setenv("FEWVID_ATTENTION", "splash")
    with pytest.raises(UserError, match=r"splash, which needs a TPU .* here are cpu, float32"):
        backend((2, 1024, 4, 64), jnp.float32)
    on_a(monkeypatch, "tpu")
    with pytest.raises(UserError, match="here are tpu, float16 and heads of 64"):
        backend((2, 1024, 4, 64), jnp.float16)


def text(rows, length):
    """The shapes of a batch of packed turns without pictures."""
    whole = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    few = jax.ShapeDtypeStruct((rows, 8), jnp.int32)
    names = {"tokens": whole, "segments": whole, "positions": whole}
    names |= {"answer_positions": few, "answer_tokens": few}
    return names | {"answer_weights": jax.ShapeDtypeStruct((rows, 8), jnp.float32)}


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason='compiling for a TPU needs libtpu, 0.7 GB: pip install "jax[tpu]==<your jax>"',
)
def test_a_training_step_compiles_for_a_slice(monkeypatch):
    """Of four chips that are not here. Its forward pass has one kernel, its backward pass two."""
    from jax.experimental import topologies

    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    decoder = DecoderConfig(vocab_size=64, width=256, depth=2, heads=4, kv_heads=2, mlp_width=256)
    config = dataclasses.replace(LvlmConfig.tiny(), decoder=decoder)
    mesh = make_mesh(1, 2, 2, devices)
    params = jax.eval_shape(partial(lvlm.init, config), jax.random.key(0))
    chosen = subtree.select(params, ("decoder/.*",))

    def loss(params, batch, rng):
        return lvlm.loss(config, params, batch, dtype=jnp.bfloat16, remat="full")

    _, frozen = subtree.abstract_split(params, chosen)

    def lowered():
        program = make_program(loss, optax.sgd(1.0), params, shardings(mesh, params), chosen, mesh)
        traced = program.step.trace(program.abstract, frozen, text(2, 1100))
        return traced.lower(lowering_platforms=("tpu",))

    calls = re.findall(r'custom_call_target="tpu_custom_call"', lowered().compile().as_text())
    assert len(calls) >= 3
    monkeypatch.setenv("FEWVID_ATTENTION", "xla")
    assert "tpu_custom_call" not in lowered().as_text()
