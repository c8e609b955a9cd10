"""One training step over eight devices, however they are arranged, is that of a single one."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from fewvid.models import low_rank, lvlm
from fewvid.models.config import LvlmConfig, visual_tokens_per_frame
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten
from fewvid.parallel.sharding import place, shardings
from fewvid.training import lora as low
from fewvid.training import recipes
from fewvid.training import trainable as subtree
from fewvid.training.loop import to_devices
from fewvid.training.stage import LoraConfig
from fewvid.training.step import make_program

CONFIG = LvlmConfig.tiny()


def random_batch(rows=8, frames=2, text=6):
    rng = np.random.default_rng(0)
    visual = frames * visual_tokens_per_frame(CONFIG)
    length = 1 + visual + text
    tokens = rng.integers(5, CONFIG.decoder.vocab_size, (rows, length), np.int32)
    tokens[:, 0], tokens[:, 1 : 1 + visual] = 1, 4
    size = CONFIG.encoder.image_size
    return {
        "pixels": rng.integers(0, 256, (rows, frames, size, size, 3), np.uint8),
        "times": np.tile(np.arange(frames, dtype=np.float32), (rows, 1)),
        "tokens": tokens,
        "segments": np.repeat([[1] * (1 + visual) + [2] * text], rows, 0).astype(np.int32),
        "positions": np.tile(np.arange(length, dtype=np.int32), (rows, 1)),
        "answer_positions": np.tile(np.array([length - 3, length - 2], np.int32), (rows, 1)),
        "answer_tokens": tokens[:, -2:].copy(),
        "answer_weights": rng.integers(0, 2, (rows, 2)).astype(np.float32),
    }


PATTERNS = ("adapter/.*", "decoder/.*", "encoder/layers/.*@-1:")
# Adam's own eps would blow rounding up to whole steps where a gradient is 0 by nature, as that of
# a key's bias is.
OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(1e-3, eps=1e-3, weight_decay=0.1)
)


LORA, NO_LORA = LoraConfig(rank=4, alpha=8.0), LoraConfig()


def take_steps(mesh, params, steps=2, *, lora=NO_LORA, rows=8, patterns=PATTERNS, **options):
    shapes = low.grown(params, lora)
    chosen = low.trains(subtree.select(params, patterns), shapes, lora)
    layout = shardings(mesh, shapes, report=pytest.fail)

    def loss(params, batch, rng):
        return lvlm.loss(CONFIG, low_rank.scaled(params, low.factor(lora)), batch, rng=rng)

    program = make_program(loss, OPTIMIZER, shapes, layout, chosen, mesh, **options)
    params = place(low.begun(params, layout, lora, jax.random.key(2)), layout)
    trained, frozen = subtree.split(params, chosen)
    state = program.start(trained, jax.random.key(1))
    frozen = place(frozen, program.frozen_layout)
    seen = []
    for _ in range(steps):
        state, metrics = program.step(state, frozen, to_devices(random_batch(rows), mesh))
        seen.append({name: float(value) for name, value in metrics.items()})
    merged = subtree.merge(state.trainable, frozen, chosen)
    return seen, flatten(jax.device_get(merged)), state


@pytest.fixture(scope="module")
def params():
    return jax.device_get(jax.jit(partial(lvlm.init, CONFIG))(jax.random.key(0)))


@pytest.fixture(scope="module")
def on_one(params):
    return take_steps(make_mesh(devices=jax.devices()[:1]), params)


@pytest.mark.parametrize("sides", [(2, 2, 2), (1, 8, 1), (8, 1, 1), (1, 4, 2), (4, 1, 2)])
def test_eight_devices_equal_one(params, on_one, sides):
    one, params_of_one, _ = on_one
    many, params_of_many, state = take_steps(make_mesh(*sides), params)
    assert_equal(one, many, params_of_one, params_of_many)
    # It really is spread out: a piece of the matrix on each device, its moments alike.
    for tree in (state.trainable, state.optimizer[1][0].mu):
        kernel = tree["decoder"]["layers"]["mlp_in"]["kernel"]
        depth, wide, narrow = kernel.shape
        piece = depth, wide // sides[1], narrow // sides[2]
        assert kernel.addressable_shards[0].data.shape == piece


STAGES = [
    stage(recipes.size("tiny")) for stage in (recipes.align, recipes.pretrain, recipes.instruct)
]


@pytest.fixture
def quickly():
    """Compiling is most of what these take, and how well is of no interest."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_two_slices_equal_one_device_in_each_stage(params, stage, quickly):
    given = {"steps": 1, "patterns": stage.trainable}
    one, params_of_one, _ = take_steps(make_mesh(devices=jax.devices()[:1]), params, **given)
    for sides in ((1, 2, 2), (2, 2, 1)):
        mesh = make_mesh(*sides, slices=2)
        many, params_of_many, state = take_steps(mesh, params, **given)
        assert_equal(one, many, params_of_one, params_of_many)
        # A slice has it all, a piece on each of its devices, and so has the other.
        for tree in (state.trainable, state.optimizer[1][0].mu):
            kernel = tree["adapter"]["mlp_in"]["kernel"]
            pieces = {piece.device.id: piece.index for piece in kernel.addressable_shards}
            assert all(pieces[at] == pieces[at + 4] for at in range(4))
            assert len({str(index) for index in pieces.values()}) == sides[1] * sides[2]


def assert_equal(one, many, params_of_one, params_of_many):
    for a, b in zip(one, many, strict=True):
        skips = {"skipped", "skipped_in_a_row"}
        assert a.keys() == b.keys() == {"loss", "accuracy", "tokens", "gradient_norm"} | skips
        for name in a:
            assert a[name] == pytest.approx(b[name], abs=1e-5), name
    for path, value in params_of_one.items():
        np.testing.assert_allclose(params_of_many[path], value, atol=1e-5, err_msg=path)


@pytest.fixture(scope="module")
def lora_on_one(params):
    return take_steps(make_mesh(devices=jax.devices()[:1]), params, lora=LORA, rows=32)


@pytest.mark.parametrize("sides", [None, (2, 2, 2), (1, 8, 1)])
def test_lora_in_four_parts_of_a_batch_equals_the_whole_on_one(params, lora_on_one, sides):
    mesh = make_mesh(*sides) if sides else make_mesh(devices=jax.devices()[:1])
    one, whole, _ = lora_on_one
    many, found, state = take_steps(mesh, params, lora=LORA, rows=32, accumulate=4)
    assert_equal(one, many, whole, found)
    for path, value in flatten(params).items():  # nothing of the decoder moves but A and B
        if path.startswith("decoder/"):
            np.testing.assert_array_equal(found[path], value, err_msg=path)
    a, b = low_rank.names("decoder/layers/mlp_in/kernel")
    assert np.abs(found[b]).max() > 1e-4
    over = mesh.shape["fsdp"], mesh.shape["tensor"]
    for tree in (state.trainable, state.optimizer[1][0].mu):
        pieces = {name: flatten(tree)[name].addressable_shards[0].data.shape for name in (a, b)}
        assert pieces == {a: (2, 32 // over[0], 4), b: (2, 4, 64 // over[1])}


def test_frozen_layers_stay_bit_equal(params, on_one):
    _, after, _ = on_one
    for path, value in flatten(params).items():
        if path.startswith("encoder/layers/"):
            np.testing.assert_array_equal(after[path][:-1], value[:-1], err_msg=path)
            if path.endswith("kernel"):
                assert np.abs(after[path][-1] - value[-1]).max() > 1e-6, path
        elif path.startswith("encoder/"):
            np.testing.assert_array_equal(after[path], value, err_msg=path)
