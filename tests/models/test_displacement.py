"""Displacement: nothing where nothing moved, the phase of the way gone where something did."""

import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.models.displacement import OCTAVES, WIDTH, displacement

GRID, WIDE = 8, 16


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def frames(rng, places):
    """float32[1,T,N,D]: one blob of its own content at each place, on a background of noise."""
    content = rng.normal(size=WIDE)
    tokens = 0.05 * rng.normal(size=(1, len(places), GRID, GRID, WIDE))
    for frame, (row, column) in enumerate(places):
        tokens[0, frame, row % GRID, column % GRID] += content
    return tokens.reshape(1, len(places), GRID * GRID, WIDE).astype(np.float32)


def test_a_frame_compared_with_itself_is_exactly_nothing(rng):
    tokens = rng.normal(size=(2, 3, GRID * GRID, WIDE)).astype(np.float32)
    found = np.asarray(displacement(tokens[:, :, :5], tokens, tokens, GRID))
    assert found.shape == (2, 3, 5, WIDTH)
    assert not found.any()


@pytest.mark.parametrize("start", [(3, 4), (7, 7), (0, 0)])  # across the edge too
@pytest.mark.parametrize("way", [(0, 2), (0, -2), (3, 0), (-1, 1)])
def test_the_phase_is_that_of_the_way_gone(rng, start, way):
    end = tuple(a + b for a, b in zip(start, way, strict=True))
    tokens = frames(rng, [start, end])
    now, then = tokens[:, 1:], tokens[:, :1]
    index = (end[0] % GRID) * GRID + end[1] % GRID
    found = np.asarray(displacement(now[:, :, [index]], now, then, GRID))[0, 0, 0]
    real, imaginary = found.reshape(2, 2, OCTAVES)  # of x and y, at each octave
    for axis, gone in ((0, way[1]), (1, way[0])):
        for octave in range(OCTAVES):
            angle = -2 * np.pi * gone / GRID * 2**octave  # from now back to then
            # Up to one common scale: a soft match is not wholly at the best patch.
            assert np.isclose(imaginary[axis, octave], np.sin(angle), atol=0.35)
            assert np.isclose(real[axis, octave], np.cos(angle) - 1, atol=0.6)
            if abs(np.sin(angle)) > 0.5:
                assert np.sign(imaginary[axis, octave]) == np.sign(np.sin(angle))


def test_bfloat16_tokens_are_compared_in_float32(rng):
    tokens = jnp.asarray(frames(rng, [(1, 1), (1, 3)]), jnp.bfloat16)
    found = displacement(tokens[:, 1:], tokens[:, 1:], tokens[:, :1], GRID)
    assert found.dtype == jnp.float32
    assert np.isfinite(np.asarray(found)).all()
