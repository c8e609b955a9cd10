"""What samplers keep of the things, and what tokens say of the rest: on made-up models."""

import numpy as np
import pytest

from fewvid.commands.configs import load_config
from fewvid.studies import coverage, locality
from fewvid.studies.base import ensure
from fewvid.studies.config import parse


@pytest.fixture(scope="module")
def study():
    return parse(load_config("configs/studies/samplers.py:tiny"))


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    return ensure(study.scale, tmp_path_factory.mktemp("made") / "base", lambda _: None)


def test_what_is_kept_is_held_against_where_the_things_are(study, base):
    found = coverage.measure(study, base)
    assert set(found["kept"]) == {"random", "attention", coverage.UNTRAINED}
    area = found["area"]["mean"]
    assert 0 < area < 0.6
    for of in found["kept"].values():
        for shares in of.values():
            assert 0 <= shares["on"]["mean"] <= 1
            assert 0 <= shares["missed"]["mean"] <= 1
    by_chance = found["kept"]["random"]["2"]
    assert abs(by_chance["on"]["mean"] - area) < 3 * by_chance["on"]["half"] + 0.02


def test_keeping_more_leaves_out_less():
    shown = [np.eye(4, dtype=bool)[:2, None]]  # two things, of one token each, in one frame
    none, one, both = (np.array([[[a, b, True, False]]]) for a, b in ((0, 0), (1, 0), (1, 1)))
    missed = [
        coverage._judged(np.repeat(kept.astype(bool), 2, 0), shown * 2)["missed"]["mean"]
        for kept in (none, one, both)
    ]
    assert missed == [1.0, 0.5, 0.0]
    assert coverage._judged(np.repeat(both.astype(bool), 2, 0), shown * 2)["on"][
        "mean"
    ] == pytest.approx(2 / 3)


def test_what_is_in_a_token_is_read_and_what_is_not_is_not():
    rng = np.random.default_rng(0)
    there = rng.random((900, 3)) < 0.25
    noise = rng.normal(size=(900, 16))
    told = noise.copy()
    told[:, :3] += 6 * there
    assert locality._read(told, there)["mean"] > 0.98
    nothing = locality._read(noise, there)
    assert abs(nothing["mean"] - 0.5) < 2 * nothing["half"] + 0.02


def test_pixels_off_all_things_tell_nothing_and_those_on_them_do(study, base):
    found = locality.measure(study, base)
    off, on = (found[place]["pixels"]["colour"] for place in ("off", "on"))
    assert off["mean"] - off["half"] < 0.55
    assert on["mean"] > off["mean"]
    assert set(found["off"]) == {"pixels", "encoder, untrained", "encoder", "adapter"}
