"""Costs of a study: each part timed once, compiled before, the encoder shared by all cells."""

import dataclasses

import jax
import pytest

from fewvid.models import flops, lvlm
from fewvid.studies import costs, recipes
from fewvid.studies.base import Base
from fewvid.studies.config import parse
from fewvid.studies.plans import model_of

TINY = recipes.size("tiny")
PARTS = {"encoder", "sampler", "adapter", "decoder"}


class Ids:
    """The ids that costs read of a chat."""

    bos, visual = 1, 4


@pytest.fixture(scope="module")
def base():
    return Base(recipes.TINY, lvlm.init(recipes.TINY, jax.random.key(0)), Ids, "digest")


def test_each_part_of_each_cell_is_timed(base, monkeypatch):
    late = []
    make = costs.Compiled.make

    def noted(self, *args):
        known = len(self._programs)
        program = make(self, *args)
        if late and len(self._programs) > known:
            raise AssertionError("compiled while it should be timed")
        return program

    def do_all(jobs):
        for job in jobs:
            job()
        late.append(True)

    monkeypatch.setattr(costs.Compiled, "make", noted)
    monkeypatch.setattr(costs, "do_all", do_all)
    learned = {"queries": "learned", "count": 2}
    cells = [
        recipes.cell(TINY, "K = 2", keep=2),
        recipes.cell(TINY, "K = N", keep=TINY.tokens),
        recipes.cell(TINY, "K = 2 again", keep=2),
        recipes.cell(TINY, "learned", keep=2, adapter=learned),
    ]
    study = parse(recipes.study("keep", dataclasses.replace(TINY, seeds=1), cells))
    found = costs.measure(study, base)
    assert list(found) == ["K = 2", "K = N", "K = 2 again", "learned"]
    assert found["K = 2"] == found["K = 2 again"]
    for cell in study.cells:
        one, config = found[cell.name], model_of(cell, base.config)
        assert one["flops"] == flops.clip(config, cell.keep, cell.sampler, 8, costs.TEXT)
        assert set(one["seconds"]) == set(one["quartiles"]) == PARTS
        assert one["visual_tokens"] == 8 * cell.keep
        for part, seconds in one["seconds"].items():
            low, high = one["quartiles"][part]
            assert 0 <= low <= seconds <= high
    assert found["K = N"]["seconds"]["sampler"] == 0
    assert found["K = 2"]["seconds"]["sampler"] > 0
    # Timed once: the encoder does the same whatever is kept.
    assert len({one["seconds"]["encoder"] for one in found.values()}) == 1
