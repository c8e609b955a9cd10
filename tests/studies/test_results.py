"""Estimates, differences and ratios, worked out by hand."""

import math

import numpy as np
import pytest

from fewvid.data.shapes.questions import Question
from fewvid.errors import UserError
from fewvid.studies.results import NORMAL, Results, tally

T2 = 4.302653  # Student's quantile for three seeds


def results(**cells):
    """Cells of one exam with 100 questions a dimension: {cell: {dimension: right a seed}}."""
    kinds = {"direction": "temporal", "speed": "temporal", "colour": "static"}
    return Results(
        {
            "cells": {
                name: {
                    "scores": {
                        "clips": {
                            dimension: {
                                "kind": kinds[dimension],
                                "chance": 0.25 if dimension == "direction" else 0.5,
                                "total": 100,
                                "right": right,
                            }
                            for dimension, right in scores.items()
                        }
                    }
                }
                for name, scores in cells.items()
            }
        }
    )


def test_an_estimate_holds_both_seeds_and_questions():
    found = results(a={"direction": [70, 80, 90], "speed": [50, 60, 70]})
    mean, half = found.estimate("a", "clips", "temporal")
    assert mean == pytest.approx(0.7)
    over_seeds = T2 * 0.1 / math.sqrt(3)
    over_questions = NORMAL * math.sqrt((0.8 * 0.2 + 0.6 * 0.4) / 100) / 2
    assert half == pytest.approx(math.hypot(over_seeds, over_questions))


def test_an_estimate_of_one_seed_holds_the_questions_alone():
    found = results(a={"direction": [50]})
    assert found.estimate("a", "clips", "").half == pytest.approx(NORMAL * 0.05)


def test_a_difference_is_taken_seed_by_seed():
    found = results(a={"direction": [60, 70, 80]}, b={"direction": [50, 60, 70]})
    mean, half = found.difference("a", "b", "clips", "temporal")
    assert mean == pytest.approx(0.1)
    # The seeds agree, and another draw of questions is held in all the same.
    assert half == pytest.approx(NORMAL * math.sqrt((0.7 * 0.3 + 0.6 * 0.4) / 100))
    apart = results(a={"direction": [60, 70, 80]}, b={"direction": [60, 60, 60]})
    wider = apart.difference("a", "b", "clips", "temporal").half
    assert wider == pytest.approx(math.hypot(half, T2 * 0.1 / math.sqrt(3)), rel=1e-6)


def test_a_difference_of_one_seed_is_of_two_draws_of_questions():
    found = results(a={"direction": [60]}, b={"direction": [50]})
    mean, half = found.difference("a", "b", "clips", "temporal")
    assert mean == pytest.approx(0.1)
    assert half == pytest.approx(NORMAL * math.sqrt(0.6 * 0.4 / 100 + 0.5 * 0.5 / 100))


def test_several_against_one_hold_all_at_once():
    """Wider than one at a time, by Dunnett's 2.59 for three cells, three seeds in blocks."""
    rights = {
        "random": [50, 62, 69],
        "a": [61, 70, 82],
        "b": [49, 63, 70],
        "c": [55, 66, 74],
    }
    found = results(**{name: {"direction": right} for name, right in rights.items()})
    against = found.against("random", rights, "clips", "temporal")
    assert list(against) == ["a", "b", "c"]
    shares = np.array([*rights.values()]) / 100
    residuals = shares - shares.mean(0) - shares.mean(1, keepdims=True) + shares.mean()
    spread = math.sqrt((residuals**2).sum() / 6)  # degrees of freedom: (4 - 1) * (3 - 1)
    for name, (mean, half) in against.items():
        assert mean == pytest.approx(found.difference(name, "random", "clips", "temporal").mean)
        p, q = np.mean(rights[name]) / 100, np.mean(rights["random"]) / 100
        questions = NORMAL * math.sqrt((p * (1 - p) + q * (1 - q)) / 100)
        seeds = math.sqrt(half**2 - questions**2) / (spread * math.sqrt(2 / 3))
        assert 2.4 < seeds < 3.2  # tables: 2.86 at 8 degrees of freedom, 3.10 at 6
    alike = results(a={"direction": [60, 70]}, b={"direction": [50, 60]})
    assert alike.against("b", ["a"], "clips", "temporal")["a"].half == pytest.approx(
        alike.difference("a", "b", "clips", "temporal").half
    )


def test_a_ratio_is_taken_seed_by_seed():
    found = results(a={"direction": [45, 40, 63]}, b={"direction": [50, 50, 70]})
    mean, half = found.ratio("a", "b", "clips", "temporal")
    ratios = np.array([0.9, 0.8, 0.9])
    assert mean == pytest.approx(ratios.mean())
    a, b = 148 / 300, 170 / 300
    questions = math.sqrt((a * (1 - a) + ratios.mean() ** 2 * b * (1 - b)) / 100) / b
    seeds = T2 * ratios.std(ddof=1) / math.sqrt(3)
    assert half == pytest.approx(math.hypot(seeds, NORMAL * questions))


def test_a_ratio_to_nothing_is_unknown():
    found = results(a={"direction": [10, 10]}, b={"direction": [0, 10]})
    assert math.isnan(found.ratio("a", "b", "clips", "temporal").mean)


def test_what_was_not_asked_is_unknown():
    found = results(a={"direction": [10, 10]})
    assert found.kinds("clips") == ["temporal"]
    assert str(found.estimate("a", "clips", "static")) == "–"
    assert math.isnan(found.chance("clips", "static"))


def test_chance_is_a_mean_over_dimensions():
    found = results(a={"direction": [10], "speed": [10]})
    assert found.chance("clips", "temporal") == pytest.approx(0.375)


def test_an_exam_that_a_cell_did_not_sit_is_named():
    with pytest.raises(UserError, match="'a' sat no exam 'pictures'"):
        results(a={"direction": [1]}).estimate("a", "pictures", "static")


def test_tally_counts_by_dimension():
    questions = [
        Question("colour", "What colour?", "red", ("red", "blue")),
        Question("direction", "Which way?", "up", ("up", "down", "left", "right")),
    ]
    asked = np.array([[0, 1], [0, -1]])
    right = np.array([[[True, False], [True, True]], [[False, True], [False, False]]])
    assert tally(right, asked, questions) == {
        "colour": {"kind": "static", "chance": 0.5, "total": 2, "right": [2, 0]},
        "direction": {"kind": "temporal", "chance": 0.25, "total": 1, "right": [0, 1]},
    }
