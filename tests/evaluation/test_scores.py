"""Shares, their intervals, and means over dimensions."""

import pytest

from fewvid.evaluation.intervals import wilson
from fewvid.evaluation.scores import Answered, Score, by_dimension, chance, mean


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (97, 100, 0.9155, 0.9897),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(right, total, low, high):
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-4)


def answered(dimension, kind, results, chance):
    return [Answered(kind, dimension, valid, exact, chance) for valid, exact in results]


def test_scores_by_dimension_and_their_mean():
    found = by_dimension(
        [
            *answered("colour", "static", [(True, True)] * 3 + [(False, False)], 1 / 6),
            *answered("direction", "temporal", [(True, False), (False, False)], 1 / 4),
            *answered("order", "temporal", [(True, True)] * 8, 1 / 2),
        ]
    )
    assert list(found) == ["colour", "direction", "order"]
    assert found["colour"] == Score("static", "colour", 4, 3, 3, pytest.approx(1 / 6))
    assert found["colour"].accuracy == 0.75
    assert found["order"].interval == wilson(8, 8)
    # each dimension counts the same, however many questions it has
    assert mean(found.values(), "temporal") == 0.75
    assert mean(found.values(), "temporal", exact=True) == 0.5
    assert mean(found.values(), "static") == 0.75
    assert chance(found.values(), "temporal") == pytest.approx(0.375)


def test_there_is_no_mean_of_nothing():
    assert mean([], "static") is None
    assert chance([], "temporal") is None
