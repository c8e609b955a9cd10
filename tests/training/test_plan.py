"""A plan finds a config's mistakes before anything trains, and says in words what will."""

import dataclasses

import jax
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.training import recipes
from fewvid.training.plan import describe, make_plan
from fewvid.training.stage import OptimizerConfig, parse

CONFIG = LvlmConfig.tiny()
SIZE = recipes.size("tiny")


@pytest.fixture(scope="module")
def shapes():
    return jax.eval_shape(lambda: lvlm.init(CONFIG, jax.random.key(0)))


def stage(made=recipes.pretrain, **changes):
    stages = parse(recipes.config([made(SIZE)], start=SIZE, chosen=SIZE)).stages
    return dataclasses.replace(stages[0], **changes)


def test_describe(shapes):
    (plan,) = make_plan([stage()], CONFIG, shapes, make_mesh())
    assert plan.folder == "0-pretrain"
    words = describe(plan, 3, shapes)
    assert "stage 1 of 3, pretrain: trains the adapter (16,256 parameters) and " in words
    assert "part of the encoder (8,544 of 23,904 parameters)" in words
    assert "10 steps of 8 rows: up to 4 questions, 4 frames, 16 tokens kept and 4 read" in words
    (scaled,) = make_plan(
        [stage(optimizer=OptimizerConfig(scale={"encoder": 0.5}))], CONFIG, shapes, make_mesh()
    )
    assert describe(scaled, 3, shapes).endswith("learning rate 0.001, x0.5 for the encoder")


def test_several_ks_are_packed_for_the_largest_where_the_decoder_reads_them(shapes):
    (plan,) = make_plan([stage(keep=(8, 2))], CONFIG, shapes, make_mesh())
    assert plan.keeps == (2, 8)  # four learned queries read what is kept, and are read
    assert (plan.shape.visual_tokens_per_frame, plan.shape.narrows_by) == (4, 0)
    assert "2 or 8 tokens kept and 4 read a frame" in describe(plan, 1, shapes)
    tokens = dataclasses.replace(CONFIG.adapter, queries="tokens")
    config = dataclasses.replace(CONFIG, adapter=tokens)
    (plan,) = make_plan([stage(keep=(8, 2))], config, shapes, make_mesh())
    assert (plan.shape.visual_tokens_per_frame, plan.shape.narrows_by) == (8, 6)
    assert "2 or 8 tokens kept and 2 to 8 read a frame" in describe(plan, 1, shapes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainable": ("adaptor/.*",)}, r"config\.stages\[0\] \(pretrain\): trainable pattern"),
        ({"cache_features": True}, "needs a frozen encoder"),
        ({"batch_size": 12}, "batch_size 12 does not divide over data=8 x fsdp=1"),
        ({"sampler": "atention"}, "sampler is 'atention', .*Did you mean 'attention'"),
        ({"keep": 99}, r"stages\[0\] \(pretrain\): keep is 99, must be 1 to 16"),
        ({"keep": (4, 99)}, r"\(pretrain\): keep\[1\] is 99, must be 1 to 16"),
        ({"length": 10}, "no room for text"),
        ({"optimizer": OptimizerConfig(scale={"decoder": 0.4})}, "names decoder, which does not"),
    ],
)
def test_mistakes(changes, message, shapes):
    with pytest.raises(UserError, match=message):
        make_plan([stage(**changes)], CONFIG, shapes, make_mesh())
