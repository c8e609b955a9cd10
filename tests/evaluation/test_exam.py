"""The exam: same questions before and after, numbers in 0..1, a table that reads."""

import io

import jax
import pytest
from rich.console import Console

import fewvid
from fewvid.data.shapes import write_world
from fewvid.evaluation.exam import Exam
from fewvid.evaluation.table import table


@pytest.fixture(scope="module")
def exam_and_model(tmp_path_factory):
    world = tmp_path_factory.mktemp("world") / "world"
    write_world(world, clips=1, images=1, seed=3)
    model = fewvid.load("shapes")
    return Exam(model, world / "test", clips=16), model


@pytest.fixture(scope="module")
def report(exam_and_model):
    exam, model = exam_and_model
    return exam.of(model)


def test_the_image_model_knows_pictures(report):
    shares = report.shares()
    assert shares["image"] > 0.9
    assert all(0 <= shares[name] <= 1 for name in ("static", "temporal", "temporal_one_frame"))


def test_one_frame_is_asked_the_temporal_questions_alone(report):
    assert {score.kind for score in report.one_frame.values()} == {"temporal"}
    for name, score in report.one_frame.items():
        assert score.total == report.clips[name].total


def test_the_same_model_has_the_same_report(exam_and_model, report):
    exam, model = exam_and_model
    assert exam.of(model) == report


def test_a_model_that_knows_nothing_is_near_chance(exam_and_model):
    exam, model = exam_and_model
    nothing = jax.tree.map(jax.numpy.zeros_like, model.params)
    blank = type("Blank", (), {"config": model.config, "chat": model.chat, "frames": 8})()
    blank.params = nothing
    report = exam.of(blank)
    assert report.shares()["image"] < 0.7


def test_the_table_shows_chance_before_after_and_points(report):
    console = Console(file=io.StringIO(), width=88)
    console.print(table("title", report.lines(report)))
    text = console.file.getvalue()
    assert "direction" in text
    assert "25.0%" in text
    assert "+0.0" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 88
