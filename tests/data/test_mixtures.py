"""Weights, fractions and kinds of the sources of a mixture; epochs."""

import json

import numpy as np
import pytest

from fewvid.data.mixtures import Source, mix, read_source
from fewvid.errors import UserError


def test_rows_come_by_weight():
    order = mix([5, 7], [3, 1], seed=0)
    sources = [order[i][0] for i in range(400)]
    assert sources.count(0) == 300


def test_every_epoch_is_a_new_order_of_all():
    order = mix([10], [1.0], seed=0)
    epochs = [[order[10 * e + i][1] for i in range(10)] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    again = mix([10], [1.0], seed=0)
    assert [again[i][1] for i in range(30)] == list(np.concatenate(epochs))
    other = mix([10], [1.0], seed=1)
    assert [other[i][1] for i in range(10)] != epochs[0]


def test_a_kind_and_a_fraction_of_it(tmp_path, record):
    records = [
        record(i, "q", "a", video=f"{i % 20}.mp4", kind=("static", "temporal")[i // 20])
        for i in range(40)
    ]
    (tmp_path / "m.json").write_text(json.dumps(records))
    groups = read_source(Source(tmp_path / "m.json", 1.0, 0.5, kind="temporal"))
    assert [len(group) for group in groups] == [1] * 10
    assert {group[0].kind for group in groups} == {"temporal"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weight": 0}, "weight must be above 0"),
        ({"kind": "temporl"}, "Did you mean 'temporal'"),
        ({"kind": "static"}, "no samples of kind 'static'"),
        ({"fraction": 2.0}, "got 2.0"),
    ],
)
def test_mistakes_are_named(tmp_path, record, change, says):
    (tmp_path / "m.json").write_text(json.dumps([record(0, "q", "a")]))
    with pytest.raises(UserError, match=says):
        read_source(Source(tmp_path / "m.json", **change))
