"""LoRA of a stage: what it covers, where it begins, and what the compiled step holds for it."""

import dataclasses

import jax
import numpy as np
import pytest

from fewvid.errors import UserError
from fewvid.models import low_rank, lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten, unflatten
from fewvid.parallel.sharding import shardings
from fewvid.training import ahead, lora, recipes
from fewvid.training.plan import describe, make_plan
from fewvid.training.stage import LoraConfig, parse

MODEL = LvlmConfig.tiny()
SHAPES = jax.eval_shape(lambda: lvlm.init(MODEL, jax.random.key(0)))
KERNELS = 7  # of a layer of the decoder: q, k, v, out, and three of its MLP


def planned(mesh, **changes):
    size = recipes.size("tiny")
    values = recipes.config([recipes.instruct(size)], start=size, chosen=size)
    values.stages[0].update(changes)
    run = parse(values)
    return make_plan(run.stages, MODEL, SHAPES, mesh)[0], run


def test_one_flag_makes_the_decoder_train_by_lora_alone():
    plan, _ = planned(make_mesh(), lora={"rank": 4})
    of_decoder = [path for path in plan.trainable if path.startswith("decoder/")]
    assert len(of_decoder) == 2 * KERNELS
    assert all(low_rank.owner(path)[1] for path in of_decoder)
    assert "adapter/k/kernel" in plan.trainable  # `trainable` has it, and no target
    d = MODEL.decoder
    inside = d.width + d.heads * d.head_dim, d.width + d.kv_heads * d.head_dim
    sides = 2 * inside[0] + 2 * inside[1] + 3 * (d.width + d.mlp_width)
    assert plan.low_rank == {"decoder": 4 * sides * d.depth}
    words = describe(plan, 1, SHAPES)
    assert f"part of the decoder ({4 * sides * d.depth:,} of " in words
    assert "by LoRA of rank 4" in words


def test_what_no_target_covers_trains_as_it_is_told():
    plan, _ = planned(make_mesh(), lora={"rank": 2, "targets": (r"decoder/layers/.*_[qv]/.*",)})
    found = {path for path in plan.trainable if path.startswith("decoder/")}
    assert {"decoder/embedding", "decoder/layers/attention_k/kernel"} < found
    assert "decoder/layers/attention_q/kernel" not in found
    assert low_rank.names("decoder/layers/attention_q/kernel")[0] in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": -1}, r"lora\.rank is -1, must be 0"),
        ({"rank": 4, "alpha": 0.0}, r"lora\.alpha is 0\.0, must be"),
        ({"rank": 4, "targets": ()}, r"lora\.targets is empty"),
        ({"rank": 4, "targets": ("(",)}, r"lora\.targets: '\(' is no regex"),
        ({"rank": 4, "targets": ("decoder/embedding",)}, "matches no kernel, which LoRA is for"),
        ({"rank": 32}, r"lora\.rank is 32, but decoder/layers/\w+/kernel is 32 x \d+"),
        ({"rank": 4, "targets": ("encoder/.*",)}, "needs a frozen encoder, .* lora.targets"),
        ({"rnak": 4}, "Did you mean 'rank'"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(UserError, match=message):
        planned(make_mesh(), lora=changes)


def test_a_stage_begins_as_the_model_that_it_was_however_it_lies():
    config = LoraConfig(rank=4)
    params = jax.jit(lambda: lvlm.init(MODEL, jax.random.key(0)))()
    text = {
        "tokens": np.arange(5, 13)[None],
        "positions": np.arange(8)[None],
        "segments": np.ones((1, 8), np.int32),
    }
    made = []
    for mesh in (make_mesh(1, 4, 2), make_mesh(devices=jax.devices()[:1])):
        layout = shardings(mesh, lora.grown(SHAPES, config), report=pytest.fail)
        made.append(lora.begun(params, layout, config, jax.random.key(7)))
    spread, single = map(flatten, made)
    path = "decoder/layers/mlp_out/kernel"
    a, b = low_rank.names(path)
    for name, value in single.items():
        np.testing.assert_array_equal(spread[name], value, err_msg=name)
    # A lies as the rows of its matrix, B as its columns: here over tensor=2 and fsdp=4.
    assert spread[a].addressable_shards[0].data.shape == (2, 64 // 2, 4)
    assert spread[b].addressable_shards[0].data.shape == (2, 4, 32 // 4)
    assert np.std(single[a]) == pytest.approx(64**-0.5, rel=0.1)
    assert not np.any(single[b])
    before, after = (
        jax.jit(lambda p: lvlm.forward(MODEL, p, text)[0])(p) for p in (params, made[1])
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_the_model_computes_with_the_sum(remat):
    config = LoraConfig(rank=3, alpha=6.0, targets=(".*",))
    flat = dict(flatten(jax.jit(lambda: lvlm.init(MODEL, jax.random.key(0)))()))
    rng, merged = np.random.default_rng(0), dict(flat)
    for path, leaf in flatten(lora.grown(SHAPES, config)).items():
        if low_rank.owner(path)[1]:
            flat[path] = 0.1 * rng.normal(size=leaf.shape).astype(np.float32)
    for path in merged:
        a, b = low_rank.names(path)
        if a in flat:
            merged[path] = merged[path] + 2.0 * flat[a] @ flat[b]
    side = MODEL.encoder.image_size
    batch = {
        "pixels": rng.integers(0, 256, (2, 2, side, side, 3), np.uint8),
        "times": np.zeros((2, 2), np.float32),
        "tokens": np.tile([1, *[4] * 8, 9, 10], (2, 1)),
        "positions": np.tile(np.arange(11), (2, 1)),
        "segments": np.ones((2, 11), np.int32),
    }
    hidden = jax.jit(lambda p: lvlm.forward(MODEL, p, batch, remat=remat)[0])
    beside = hidden(low_rank.scaled(unflatten(flat), lora.factor(config)))
    np.testing.assert_allclose(beside, hidden(unflatten(merged)), atol=2e-5)


def test_a_frozen_decoder_costs_no_gradient_and_no_moment_memory():
    """Read from the compiled programs, of a decoder that is large beside its activations."""
    decoder = dataclasses.replace(MODEL.decoder, mlp_width=4096)
    model = dataclasses.replace(MODEL, decoder=decoder)
    shapes = jax.eval_shape(lambda: lvlm.init(model, jax.random.key(0)))
    mesh, found = make_mesh(devices=jax.devices()[:1]), {}
    small = {"batch_size": 1, "frames": 1, "length": 8, "questions": 1, "answers": 2}
    cases = {"whole": {}, "lora": {"lora": {"rank": 2}}, "frozen": {"trainable": ("adapter/.*",)}}
    for name, changes in cases.items():
        plan, run = planned(mesh, **small, **changes)
        plan = make_plan(run.stages, model, shapes, mesh)[0]
        stage = ahead.prepare(plan, run, model, mesh)
        memory = stage.program.step.lower(*stage.arguments).compile().memory_analysis()
        found[name] = stage.held.optimizer, memory
    weights = sum(leaf.size for leaf in jax.tree.leaves(shapes["decoder"])) * 4
    low = 4 * plan_of_lora(model, shapes, mesh, small)
    moments, whole = found["whole"]
    for name, trained in (("lora", low), ("frozen", 0)):
        fewer, memory = found[name]
        assert moments - fewer == 2 * (weights - trained)
        # The step takes two moments less, gives weights and moments less, and holds no gradient.
        taken = whole.argument_size_in_bytes - memory.argument_size_in_bytes
        given = whole.output_size_in_bytes - memory.output_size_in_bytes
        assert taken == pytest.approx(2 * weights - 3 * trained, rel=0.01)
        assert given == pytest.approx(3 * (weights - trained), rel=0.01)
        held = whole.temp_size_in_bytes - memory.temp_size_in_bytes
        assert held > 0.8 * (weights - trained), name


def plan_of_lora(model, shapes, mesh, small):
    _, run = planned(mesh, **small, lora={"rank": 2})
    return make_plan(run.stages, model, shapes, mesh)[0].low_rank["decoder"]
