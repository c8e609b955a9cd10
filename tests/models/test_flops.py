"""Operations counted from sizes are those that XLA counts in the compiled parts."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from fewvid.inference import parts
from fewvid.models import flops, lvlm
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)

# One layer of each: XLA counts the body of a loop over layers once. Wide enough for its products
# to be nearly all there is.
BASE = LvlmConfig(
    EncoderConfig(image_size=64, patch_size=4, width=96, depth=1, heads=2, mlp_width=256),
    SamplerConfig(),
    AdapterConfig(queries="tokens", width=96, heads=2),
    DecoderConfig(width=96, depth=1, heads=2, kv_heads=2, head_dim=48, mlp_width=256),
)
FRAMES, KEEP, TEXT = 4, 32, 16


def counted(function, *arguments, **static):
    return function.lower(*arguments, **static).compile().cost_analysis()["flops"]


def arguments(config):
    """Shapes of params, pixels, features and times: nothing is computed."""
    params = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    size = config.encoder.image_size
    pixels = jax.ShapeDtypeStruct((1, FRAMES, size, size, 3), jnp.uint8)
    features = jax.eval_shape(lambda p, x: lvlm.encode(config, p, x), params, pixels)
    return params, pixels, features, jax.ShapeDtypeStruct((1, FRAMES), jnp.float32)


def test_encoder():
    params, pixels, *_ = arguments(BASE)
    found = counted(parts.encode, params, pixels, config=BASE)
    assert FRAMES * flops.encoder(BASE) == pytest.approx(found, rel=0.12)


ADAPTERS = [(queries, change) for queries in ("tokens", "learned", "mlp") for change in (0, 1)]


@pytest.mark.parametrize(("queries", "change"), [*ADAPTERS, ("projector", 0), ("pooled", 0)])
def test_adapter(queries, change):
    pool, queries = queries == "pooled", queries.replace("pooled", "projector")
    made = dataclasses.replace(BASE.adapter, queries=queries, count=KEEP, change=bool(change))
    response = "encoder" if queries in ("mlp", "projector") else "adapter"
    sampler = SamplerConfig(response=response, site="after" if pool else "before")
    config = dataclasses.replace(
        BASE, adapter=dataclasses.replace(made, pool=pool), sampler=sampler
    )
    params, _, features, times = arguments(config)
    key = jax.eval_shape(lambda: jax.random.key(0))
    chosen, _ = jax.eval_shape(
        lambda *given: parts.select(*given, config=config, keep=KEEP, sampler="stride"),
        params, features, times, key,
    )  # fmt: skip
    found = counted(parts.adapt, params, features, times, chosen, config=config)
    assert flops.adapter(config, KEEP, FRAMES) == pytest.approx(found, rel=0.2)


def test_decoder():
    params, *_ = arguments(BASE)
    length = FRAMES * KEEP + TEXT
    visual = jax.ShapeDtypeStruct((1, FRAMES, KEEP, BASE.decoder.width), jnp.float32)
    tokens, last = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((1, length), (1,)))
    given = (params, visual, tokens, last, jax.ShapeDtypeStruct((), jnp.int32))
    found = counted(parts.read, *given, config=BASE, length=length)
    # XLA multiplies the upper half of the attention too, which a causal kernel leaves out.
    found -= 2 * length**2 * BASE.decoder.heads * BASE.decoder.head_dim
    assert flops.decoder(BASE, length) == pytest.approx(found, rel=0.1)


def test_a_step_of_decoding():
    params, *_ = arguments(BASE)
    cache = jax.eval_shape(lambda: lvlm.new_cache(BASE, 1, 300))
    one = jax.ShapeDtypeStruct((1,), jnp.int32)
    step = jax.jit(lambda *given: lvlm.decode_step(BASE, *given))
    assert flops.decode_step(BASE, 300) == pytest.approx(
        counted(step, params, one, one, cache), rel=0.1
    )


def test_training():
    config = dataclasses.replace(
        BASE,
        adapter=dataclasses.replace(BASE.adapter, queries="projector"),
        sampler=SamplerConfig(response="encoder"),
    )
    params, _, features, times = arguments(config)
    trained = {part: params[part] for part in ("adapter", "decoder")}
    length, answers = FRAMES * KEEP + TEXT, 8
    ids = jax.ShapeDtypeStruct((1, length), jnp.int32)
    asked = jax.ShapeDtypeStruct((1, answers), jnp.int32)
    batch = {
        "feature_tokens": features.tokens,
        "feature_response": features.response,
        "times": times,
        **dict.fromkeys(("tokens", "segments", "positions"), ids),
        **dict.fromkeys(("answer_positions", "answer_tokens"), asked),
        "answer_weights": jax.ShapeDtypeStruct((1, answers), jnp.float32),
    }
    loss = jax.jit(jax.grad(lambda p, b: lvlm.loss(config, p, b, keep=KEEP)[0]))
    found = counted(loss, trained, batch)
    # the upper half of the attention, three times, see below
    found -= 3 * 2 * length**2 * BASE.decoder.heads * BASE.decoder.head_dim
    wanted = flops.training(config, KEEP, FRAMES, TEXT, answers)
    assert wanted == pytest.approx(found, rel=0.15)


def test_weights_and_the_cache_are_those_of_the_model():
    params, *_ = arguments(BASE)

    def matrices(tree):
        return sum(leaf.size for at, leaf in jax.tree.leaves_with_path(tree) if is_kernel(at))

    def is_kernel(at):
        return at[-1].key in ("kernel", "embedding", "head")

    assert flops.decoder_weights(BASE) == matrices(params["decoder"])  # the head is tied
    assert flops.encoder_weights(BASE) == matrices(params["encoder"])
    cache = jax.eval_shape(lambda: lvlm.new_cache(BASE, 1, 7))
    assert 7 * flops.cache_slot(BASE) == sum(leaf.size for leaf in cache)


def test_the_parts_of_a_clip():
    whole = flops.clip(BASE, BASE.encoder.tokens, "attention", FRAMES, TEXT)
    few = flops.clip(BASE, KEEP, "attention", FRAMES, TEXT)
    assert whole["sampler"] == 0
    assert few["sampler"] == FRAMES * 2 * 256 * 96 * (96 + 256)
    assert few["encoder"] == whole["encoder"]
    assert whole["decoder"] > 6 * few["decoder"]
    by_name = {name: flops.sampler(BASE, KEEP, name) for name in ("stride", "maxmin", "pool")}
    assert by_name == {"stride": 0, "maxmin": 2 * 256**2 * 96, "pool": 2 * KEEP * 256 * 96}
