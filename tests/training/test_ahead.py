"""What is planned is what is trained: the batch's arrays, and the step of each kind of stage."""

import jax
import pytest

from fewvid.checkpoints import model_directory
from fewvid.data.chat_template import chat_for
from fewvid.data.features import FeatureStore
from fewvid.data.loader import train_iterator
from fewvid.data.media import BadSamples
from fewvid.data.mixtures import Source, read_source
from fewvid.data.shapes import write_world
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.training import ahead, recipes
from fewvid.training.plan import make_plan
from fewvid.training.stage import parse

MODEL = LvlmConfig.tiny()


def planned(stage, mesh, **changes):
    size = recipes.size("tiny")
    values = recipes.config([stage(size)], start=size, chosen=size)
    values.stages[0].update(changes)
    run = parse(values)
    shapes = jax.eval_shape(lambda: lvlm.init(MODEL, jax.random.key(0)))
    return make_plan(run.stages, MODEL, shapes, mesh)[0], run


@pytest.mark.parametrize("cached", [False, True])
def test_the_batch_is_the_loader_s(tmp_path, cached):
    write_world(tmp_path, clips=2, images=8, seed=0, things=2, albums=0)
    plan, _ = planned(recipes.instruct, make_mesh(), cache_features=cached)
    source = Source(tmp_path / "train/images.json")
    report = BadSamples(0.5)
    features = None
    if cached:
        params = jax.jit(lambda: lvlm.init(MODEL, jax.random.key(0)))()
        encode = jax.jit(lambda pixels: lvlm.encode(MODEL, params, pixels))
        features = FeatureStore.build(read_source(source), plan.shape, encode, report=report)
    tokenizer = model_directory.load_tokenizer(model_directory.resolve("shapes"))
    made = train_iterator(
        [source], plan.shape, chat_for(tokenizer), seed=0, features=features, report=report
    )
    batch = next(made)
    made.close()
    wanted = ahead.batch_of(plan, MODEL)
    assert {key: (value.shape, value.dtype) for key, value in batch.items()} == {
        key: (value.shape, value.dtype) for key, value in wanted.items()
    }


def test_resident_data_are_planned_as_those_of_a_host():
    mesh = make_mesh(2, 4)
    plan, run = planned(recipes.instruct, mesh, resident=True)
    stage = ahead.prepare(plan, run, MODEL, mesh)
    state, frozen, batch = stage.arguments
    stage.program.step.trace(state, frozen, batch)  # it takes them
    assert "row" not in batch
    whole = sum(leaf.size for leaf in jax.tree.leaves(state.trainable)) * 4
    assert whole / 4 < stage.held.trained < whole / 2  # split over fsdp=4, but for small ones
