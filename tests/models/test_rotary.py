"""How rotary frequencies are stretched: which turn slower, and by how much."""

import dataclasses

import numpy as np
import pytest

from fewvid.models.config import DecoderConfig
from fewvid.models.rotary import frequencies

PLAIN = DecoderConfig(head_dim=16, rope_theta=1e4, rope_length=64, rope_factor=4.0)
SPEEDS = 1e4 ** (-np.arange(8) / 8)
POSITIONS = np.array([[0, 1, 63], [0, 1, 127]])


def of(**settings):
    return np.asarray(frequencies(dataclasses.replace(PLAIN, **settings), POSITIONS))


def test_none_and_linear():
    np.testing.assert_allclose(of(), SPEEDS, rtol=1e-6)
    np.testing.assert_allclose(of(rope_scaling="linear"), SPEEDS / 4, rtol=1e-6)


@pytest.mark.parametrize("kind", ["llama3", "yarn"])
def test_what_turns_often_stays_and_what_turns_seldom_is_slowed_down(kind):
    ratio = of(rope_scaling=kind, rope_slow=1.0, rope_fast=4.0) / SPEEDS
    turns = 64 * SPEEDS / (2 * np.pi)  # 10.2, 3.2, 1.02, 0.32, ...
    np.testing.assert_allclose(ratio[turns > 4], 1, rtol=1e-6)
    np.testing.assert_allclose(ratio[3:], 1 / 4, rtol=1e-6)
    assert (np.diff(ratio) <= 1e-6).all()
    assert 1 / 4 < ratio[1] < 1
    if kind == "llama3":
        blend = (turns[1] - 1) / (4 - 1)
        np.testing.assert_allclose(ratio[1], blend + (1 - blend) / 4, rtol=1e-5)


def test_dynamic_stretches_only_the_rows_that_are_longer_than_those_of_training():
    found = of(rope_scaling="dynamic")
    assert found.shape == (2, 1, 1, 8)
    np.testing.assert_allclose(found[0, 0, 0], SPEEDS, rtol=1e-6)
    theta = 1e4 * (4 * 128 / 64 - 3) ** (16 / 14)
    np.testing.assert_allclose(found[1, 0, 0], theta ** (-np.arange(8) / 8), rtol=1e-5)
