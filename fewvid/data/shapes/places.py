"""Where the things of a scene are, pixel by pixel: what `render` paints, without its colours."""

from __future__ import annotations

import numpy as np

from fewvid.data.shapes.canvas import window
from fewvid.data.shapes.forms import DISTANCE, REACH, states, turned
from fewvid.data.shapes.scene import Scene


def places(scene: Scene, size: int) -> np.ndarray:
    """bool[things,T,size,size]: inside the outline of each thing; the hole of a hollow one too."""
    inside = np.zeros((len(scene.things), scene.frames, size, size), bool)
    for mask, thing in zip(inside, scene.things, strict=True):
        centres, radii, _, _ = states(thing, scene.frames)
        at, x, y = window(centres, REACH * radii.max(), size)
        mask.reshape(-1)[at] = DISTANCE[thing.form](*turned(thing, x, y), radii) < 0
    return inside


def in_patches(inside: np.ndarray, patch: int) -> np.ndarray:
    """bool[things,T,S,S] -> float[things,T,N]: how much of each patch a thing takes, in 0..1."""
    things, frames, size, _ = inside.shape
    grid = size // patch
    cut = inside.reshape(things, frames, grid, patch, grid, patch)
    return cut.mean((3, 5)).reshape(things, frames, grid * grid)
