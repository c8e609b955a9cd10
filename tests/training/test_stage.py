"""Configs become stages: defaults, types, and the mistakes that are caught."""

import json

import pytest
from ml_collections import ConfigDict

from fewvid.errors import UserError
from fewvid.training.checkpoints import jsonable
from fewvid.training.stage import differences, parse


def values(**changes):
    stage = {
        "name": "align",
        "trainable": ("adapter/.*",),
        "sources": ({"manifest": "a.json"},),
        "steps": 10,
        "batch_size": 4,
        "length": 32,
        "answers": 2,
    }
    return {"model": {"encoder": {"depth": 2}}, "stages": (stage | changes,)}


def test_defaults_are_filled_in():
    run = parse(ConfigDict(values()))
    assert run.seed == 0
    assert run.stages[0].sources[0].weight == 1.0
    assert run.stages[0].optimizer.clip == 1.0
    assert run.stages[0].keep is None
    assert parse(run.to_dict()) == run
    assert json.loads(json.dumps(run.to_dict())) == jsonable(run.to_dict())


def test_keep_is_one_k_or_several():
    for keep in (3, (3,), (16, 4, 8), None):
        assert parse(ConfigDict(values(keep=keep))).stages[0].keep == keep


IMAGES = "shapes:train/images.json"


def source(**changes):
    return {"sources": ({"manifest": "a.json"} | changes,)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, r"unknown key config\.stages\[0\]\.stpes.*Did you mean 'steps'"),
        ({"optimizer": {"lr": 1.0}}, r"unknown key config\.stages\[0\]\.optimizer\.lr"),
        ({"sources": ({"weight": 1.0},)}, r"stages\[0\]\.sources\[0\] lacks manifest"),
        ({"steps": "ten"}, r"stages\[0\]\.steps is 'ten', wanted int"),
        ({"keep": 2.5}, r"stages\[0\]\.keep is 2\.5, wanted int"),
        ({"keep": (2, 2.5)}, r"stages\[0\]\.keep\[1\] is 2\.5, wanted int"),
        ({"keep": ()}, r"stages\[0\]\.keep is \(\), wanted one K or several"),
        ({"keep": (4, 4)}, r"stages\[0\]\.keep is \(4, 4\), wanted .* that differ"),
        ({"cache_features": 1}, "wanted bool"),
        ({"steps": 0}, "at least 1"),
        ({"trainable": ()}, "trainable is empty"),
        ({"sources": ()}, "sources is empty"),
        ({"optimizer": {"schedule": "cosin"}}, "Did you mean 'cosine'"),
        ({"optimizer": {"warmup": 11}}, r"must be in 0\.\.steps=10"),
        ({"optimizer": {"learning_rate": 0}}, r"optimizer\.learning_rate is 0\.0, must be"),
        ({"optimizer": {"scale": {"decodr": 1}}}, r"scale\.decodr; .* mean 'decoder'"),
        ({"optimizer": {"scale": {"decoder": -1}}}, r"scale\.decoder is -1, must be 0 or more"),
        ({"optimizer": {"scale": {"decoder": "x"}}}, r"scale\.decoder is 'x', wanted a number"),
        ({"optimizer": {"learning_rate": float("inf")}}, r"learning_rate is inf"),
        ({"optimizer": {"learning_rate": float("nan")}}, r"learning_rate is nan"),
        ({"optimizer": {"clip": -1}}, r"optimizer\.clip is -1\.0"),
        ({"optimizer": {"weight_decay": -1}}, r"optimizer\.weight_decay is -1\.0"),
        ({"name": "a/b"}, "fit to name a folder"),
        ({"name": ""}, "fit to name a folder"),
        ({"questions": 3}, r"questions is 3, more than answers=2"),
        ({"max_bad_fraction": 1.5}, r"max_bad_fraction is 1\.5, must be 0 to 1"),
        (source(weight=-1), r"sources\[0\]\.weight is -1\.0"),
        (source(weight=float("nan")), r"sources\[0\]\.weight is nan"),
        (source(fraction=2), r"sources\[0\]\.fraction is 2\.0"),
        (source(fraction_seed=-1), r"sources\[0\]\.fraction_seed is -1"),
        (source(kind="temprl"), "Did you mean 'temporal'"),
        (source(manifest="shapes:tarin/images.json"), "after 'shapes:' goes train"),
        (source(manifest="shapes:train/video.json"), "Did you mean 'videos.json'"),
        (source(manifest="shapes:train/albums.json"), r"config\.world\.albums is 0"),
        (source(manifest=IMAGES, kind="temporal"), "static samples alone"),
        (source(manifest=IMAGES, dimension="colour,direcshun"), "Did you mean 'direction'"),
    ],
)
def test_mistakes_in_a_stage(changes, message):
    with pytest.raises(UserError, match=message):
        parse(values(**changes))


def test_mistakes_in_a_run():
    with pytest.raises(UserError, match="give one of them, got both"):
        parse({**values(), "init_from": "shapes"})
    with pytest.raises(UserError, match="give one of them, got neither"):
        parse({"stages": values()["stages"]})
    with pytest.raises(UserError, match="two stages have one name"):
        parse({**values(), "stages": values()["stages"] * 2})
    with pytest.raises(UserError, match="config lacks stages"):
        parse({})


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ({"things": 9}, r"config\.world\.things is 9, must be 1 to 3"),
        ({"albums": -1}, r"config\.world\.albums is -1, must be 0 or more"),
        ({"seed": -1}, r"config\.world\.seed is -1"),
        ({"images": 0}, r"config\.world\.images is 0"),
    ],
)
def test_mistakes_in_a_world(world, message):
    with pytest.raises(UserError, match=message):
        parse({**values(**source(manifest=IMAGES)), "world": world})


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_has_limits(seed):
    with pytest.raises(UserError, match=rf"config\.seed is {seed}, must be a whole number from 0"):
        parse({**values(), "seed": seed})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"encoder": {"heads": 3}},
            r"encoder\.width is 64, must be a multiple of encoder\.heads=3",
        ),
        ({"encoder": {"patch_size": 65}}, r"image_size is 64, must be at least patch_size=65"),
        ({"encoder": {"depth": 0}}, r"config\.model\.encoder\.depth is 0, must be at least 1"),
        ({"adapter": {"heads": 3}}, r"adapter\.width is 64, must be a multiple"),
        ({"adapter": {"queries": "token"}}, "Did you mean 'tokens'"),
        ({"decoder": {"kv_heads": 3}}, r"decoder\.heads is 4, must be a multiple of decoder\.kv_h"),
        ({"decoder": {"head_dim": 7}}, r"head_dim is 7, must be even"),
        ({"decoder": {"width": 6.5}}, r"decoder\.width is 6\.5, wanted int"),
        ({"decoder": {"rope_theta": -1}}, r"rope_theta is -1, must be a number above 0"),
        ({"sampler": {"name": "atention"}}, r"sampler\.name is .*Did you mean 'attention'"),
        ({"sampler": {"weighting": "scal"}}, r"sampler\.weighting is 'scal', .*mean 'scale'"),
        ({"sampler": {"keep": 65}}, r"config\.model\.sampler\.keep is 65, must be 1 to 64"),
        ({"encoder": 3}, r"config\.model\.encoder is 3, wanted keys and values"),
        ({"encodr": {}}, "Did you mean 'encoder'"),
    ],
)
def test_sizes_that_cannot_work(model, message):
    with pytest.raises(UserError, match=message):
        parse({**values(), "model": model})


def test_a_whole_number_is_a_float():
    assert parse(values(optimizer={"learning_rate": 1})).stages[0].optimizer.learning_rate == 1.0


def test_differences_name_the_keys():
    old, new = parse(values()).to_dict(), parse(values(steps=11)).to_dict()
    assert differences(jsonable(old), jsonable(new)) == ["config.stages[0].steps: 10 -> 11"]
    assert differences({"a": 1}, {"b": 1}) == [
        "config.a: 1 -> '(absent)'",
        "config.b: '(absent)' -> 1",
    ]
