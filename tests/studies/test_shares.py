"""Shares of a study: together they are all of it, none is in two, and they take alike long."""

import argparse

import pytest

from fewvid.commands.configs import load_config
from fewvid.commands.study import _share
from fewvid.models.config import LvlmConfig
from fewvid.studies.base import Base
from fewvid.studies.config import parse
from fewvid.studies.plans import groups
from fewvid.studies.reports import REPORTS
from fewvid.studies.shares import COMPILING, Share, cells_of, cost, deal
from fewvid.studies.store import Store
from fewvid.studies.together import union


class Ids:
    """The ids that plans read of a chat."""

    bos, visual = 1, 4


@pytest.fixture(scope="module")
def everything():
    """All studies at full size, without an image model."""
    study = union([parse(load_config(f"configs/studies/{name}.py:full")) for name in REPORTS])
    return study, Base(LvlmConfig.from_dict(study.scale.model), None, Ids, "digest")


def test_the_dearest_are_dealt_first_to_who_has_least():
    assert deal([1, 5, 2, 4], 2) == [1, 1, 2, 2]  # 5 and 1, 4 and 2
    assert deal([1, 1, 1, 1], 4) == [1, 2, 3, 4]
    assert deal([], 3) == []


def test_shares_are_all_of_it_and_none_twice(everything, tmp_path):
    study, base = everything
    store = Store(tmp_path, base.digest)
    shares = [cells_of(study, base, store, Share(number, 4)) for number in (1, 2, 3, 4)]
    assert set().union(*shares) == {cell.name for cell in study.cells}
    assert sum(map(len, shares)) == len(study.cells)
    for number, names in enumerate(shares):
        for cell in study.cells:
            if cell.of and cell.name in names:  # where its parameters are made
                same = {store.key(study, study.cell(cell.of))}
                there = {store.key(study, c) for c in study.cells if c.name in names and not c.of}
                assert same <= there, (number, cell.name)
    loads = []
    for names in shares:
        once = {store.key(study, c): c for c in study.cells if c.name in names and not c.of}
        mine = groups(study, base, [c for c in once.values() if c.strategy != "none"])
        exams = COMPILING * len(names)  # each cell's, as they are dealt
        loads.append(sum(cost(study, base, group) for group in mine) + exams)
    assert max(loads) < 1.3 * min(loads)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="I from 1 to N"):
        _share(text)


def test_a_share_is_read():
    assert _share("2/4") == (2, 4)
