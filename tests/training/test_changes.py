"""What may change when a run goes on: named where it may, refused with the difference elsewhere."""

import pytest

from fewvid.errors import UserError
from fewvid.training.changes import jsonable, refuse_changes
from fewvid.training.stage import parse


def config(**changes):
    stage = {"name": "align", "trainable": (".*",), "sources": ({"manifest": "a.json"},)}
    stage |= {"steps": 9, "batch_size": 4, "length": 32, "answers": 2} | changes
    return jsonable(parse({"init_from": "shapes", "stages": (stage,)}).to_dict())


@pytest.mark.parametrize(
    "changes", [{"steps": 20}, {"optimizer": {"learning_rate": 1.0}}, {"spike": 9.0}]
)
def test_steps_and_rates_may_change_until_their_stage_is_finished(changes):
    (line,) = refuse_changes(config(), config(**changes), "w")
    assert line.startswith("config.stages[0].")
    with pytest.raises(UserError, match=r"w is of a run with another config \(config\.stages\[0\]"):
        refuse_changes(config(), config(**changes), "w", finished=1)


def test_any_other_change_is_refused_and_what_may_change_is_said():
    with pytest.raises(UserError) as error:
        refuse_changes(config(), config(batch_size=8, steps=10), "w")
    assert "(config.stages[0].batch_size: 4 -> 8)" in str(error.value)
    assert "What may change: steps, optimizer.learning_rate" in str(error.value)


def test_a_key_that_a_stored_config_lacks_counts_as_its_default():
    old = config()
    del old["stages"][0]["spike"], old["remat"]
    assert refuse_changes(old, config(), "w") == []


def test_a_stored_key_that_is_known_no_more_is_named():
    with pytest.raises(UserError, match=r"config\.colour: 'red' -> '\(absent\)'"):
        refuse_changes(config() | {"colour": "red"}, config(), "w")
