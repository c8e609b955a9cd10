"""The arithmetic, by hand, on a chip of round numbers."""

import pytest

from fewvid.parallel.chips import CHIPS, Chip
from fewvid.parallel.roofline import Load, a_day, estimate

CHIP = Chip(flops=100e12, hbm=16 * 2**30, hbm_rate=1e12, link_rate=100e9, largest=8, dcn_rate=5e9)


def test_a_step_by_hand():
    found = estimate(Load(useful=150e12, done=200e12, memory=0.5e12, links=300e9), CHIP)
    assert (found.compute, found.memory, found.links) == pytest.approx((2.0, 0.5, 3.0))
    assert (found.best, found.apart) == pytest.approx((3.0, 5.5))
    assert (found.mfu_best, found.mfu_apart) == pytest.approx((0.5, 1.5 / 5.5))


def test_what_goes_to_other_slices_is_as_slow_as_their_network():
    found = estimate(Load(useful=150e12, done=200e12, memory=0.5e12, links=300e9, dcn=20e9), CHIP)
    assert found.dcn == pytest.approx(4.0)
    assert (found.best, found.apart) == pytest.approx((4.0, 9.5))


def test_a_day_has_86_400_seconds():
    assert a_day(10, 2.0) == 432_000


def test_the_table_is_of_whole_chips_that_compute_faster_than_they_read():
    for name, chip in CHIPS.items():
        assert 150 < chip.flops / chip.hbm_rate < 600, name  # operations for each byte
        assert 2 < chip.hbm_rate / chip.link_rate < 11, name
        assert 8 < chip.link_rate / chip.dcn_rate < 100, name
