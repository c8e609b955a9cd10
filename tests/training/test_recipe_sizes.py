"""Each stage and strategy at the sizes of real models holds together, and says what it needs."""

import jax
import pytest

from fewvid.checkpoints import model_directory
from fewvid.commands.configs import load_config
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.training import start
from fewvid.training.plan import make_plan
from fewvid.training.recipe_sizes import SIZES
from fewvid.training.stage import parse

STAGES = {
    "align": ["align"],
    "pretrain": ["pretrain"],
    "instruct": ["instruct"],
    "s3_iv": ["align", "pretrain", "instruct"],
    "s2_s3_iv": ["align", "pretrain", "instruct"],
    "s4_v": ["align", "pretrain", "instruct", "video"],
}
BILLIONS = {"vicuna_7b": 7.05, "qwen_0_5b": 0.925}


@pytest.fixture(scope="module")
def shapes():
    return {
        name: jax.eval_shape(lambda model=SIZES[name].model: lvlm.init(model, jax.random.key(0)))
        for name in BILLIONS
    }


@pytest.mark.parametrize("name", BILLIONS)
def test_how_many_parameters(name, shapes):
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes[name]))
    assert count / 1e9 == pytest.approx(BILLIONS[name], abs=0.005)


@pytest.mark.parametrize("name", BILLIONS)
@pytest.mark.parametrize("config", STAGES)
def test_each_config_is_a_plan(config, name, shapes):
    run = parse(load_config(f"configs/{config}.py:{name}"))
    assert (run.compute_dtype, run.remat, run.mesh.fsdp) == ("bfloat16", "full", -1)
    plans = make_plan(run.stages, SIZES[name].model, shapes[name], make_mesh(1, -1))
    assert [plan.stage.name for plan in plans] == STAGES[config]
    for plan in plans:
        videos = any("videos" in str(source.manifest) for source in plan.stage.sources)
        assert plan.shape.frames == (32 if videos else 1)
        assert plan.keeps == (64,)
        encodes = plan.stage.name == "pretrain" and videos and name == "qwen_0_5b"
        assert plan.stage.accumulate == (4 if encodes else 1)
        assert plan.shape.length - plan.shape.visual_tokens(plan.shape.frames) == 256


def test_what_is_to_be_given_is_asked_for(tmp_path):
    run = parse(load_config("configs/s3_iv.py:vicuna_7b"))
    with pytest.raises(UserError, match=r"--encoder openai/clip-.*--out models/vicuna_7b, or set"):
        start.model_config(run)
    wanted = r"\(align\): it trains on <your images>: set '--config.stages\[0\].sources\[0\].man"
    with pytest.raises(UserError, match=wanted):
        start.check_sources(run, tmp_path, of_world=False)
    run = parse(load_config("configs/instruct.py:vicuna_7b"))
    with pytest.raises(UserError, match=r"--config configs/pretrain.py:vicuna_7b --workdir runs/p"):
        start.model_config(run)


def test_a_model_of_other_sizes_is_refused():
    values = load_config("configs/align.py:qwen_0_5b")
    values.init_from = "shapes"
    with pytest.raises(UserError, match=r"shapes has adapter/\S+ of .*and config.expects makes it"):
        start.model_config(parse(values))
    values.expects = model_directory.read_config(model_directory.resolve("shapes")).to_dict()
    assert start.model_config(parse(values)).encoder.width == 64
    with pytest.raises(UserError, match=r"with config\.model it is empty"):
        parse({**values, "model": LvlmConfig.tiny().to_dict(), "init_from": ""})


def test_the_shipped_model_is_not_trained_at_a_real_size():
    with pytest.raises(UserError, match="ARG one of tiny, shapes"):
        load_config("configs/shapes_image.py:vicuna_7b")
