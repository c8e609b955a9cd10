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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, r"unknown key config\.stages\[0\]\.stpes.*Did you mean 'steps'"),
        ({"optimizer": {"lr": 1.0}}, r"unknown key config\.stages\[0\]\.optimizer\.lr"),
        ({"sources": ({"weight": 1.0},)}, r"stages\[0\]\.sources\[0\] lacks manifest"),
        ({"steps": "ten"}, r"stages\[0\]\.steps is 'ten', wanted int"),
        ({"keep": 2.5}, r"stages\[0\]\.keep is 2\.5, wanted int"),
        ({"cache_features": 1}, "wanted bool"),
        ({"steps": 0}, "at least 1"),
        ({"trainable": ()}, "trainable is empty"),
        ({"sources": ()}, "sources is empty"),
        ({"optimizer": {"schedule": "cosin"}}, "Did you mean 'cosine'"),
        ({"optimizer": {"warmup": 11}}, r"must be in 0\.\.steps=10"),
        ({"name": "a/b"}, "fit to name a folder"),
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


def test_a_whole_number_is_a_float():
    assert parse(values(optimizer={"learning_rate": 1})).stages[0].optimizer.learning_rate == 1.0


def test_differences_name_the_keys():
    old, new = parse(values()).to_dict(), parse(values(steps=11)).to_dict()
    assert differences(jsonable(old), jsonable(new)) == ["config.stages[0].steps: 10 -> 11"]
    assert differences({"a": 1}, {"b": 1}) == [
        "config.a: 1 -> '(absent)'",
        "config.b: '(absent)' -> 1",
    ]
