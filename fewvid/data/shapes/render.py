"""Scenes as pixels: anti-aliased shapes on a torus over drifting gratings, specks and noise."""

from __future__ import annotations

import numpy as np

from fewvid.data.shapes.canvas import blend, finished, window
from fewvid.data.shapes.forms import DISTANCE, REACH, states, turned
from fewvid.data.shapes.scene import CLUTTER, Scene, Thing

RGB = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (50, 90, 245),
    "yellow": (240, 220, 40),
    "purple": (200, 60, 220),
    "white": (245, 245, 245),
}
OUTLINE = 0.04  # width of a hollow shape's line, of the frame's width


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """uint8[frames,size,size,3], RGB."""
    rng = np.random.default_rng(scene.look_seed)
    canvas = _background(rng, scene.frames, size)
    for number in range(scene.clutter):
        _distractor(rng, canvas, bar=number >= CLUTTER)
    for thing in scene.things:
        _paint(canvas, thing)
    return finished(canvas, rng, 4.0)


def _background(rng: np.random.Generator, frames: int, size: int) -> np.ndarray:
    """Two gratings in dull colours that drift, float32[3,frames,size,size]."""
    u = (np.arange(size, dtype=np.float32) + 0.5) / size
    time = np.linspace(0, 1, frames, dtype=np.float32)
    canvas = np.empty((3, frames, size, size), np.float32)
    canvas[:] = rng.uniform(45, 95, 3).astype(np.float32)[:, None, None, None]
    for _ in range(2):
        waves = rng.integers(-3, 4, 2)  # whole waves, so that the torus has no seam
        drift = rng.uniform(-1, 1)
        phase = (waves[0] * u[None, None, :] + waves[1] * u[None, :, None]) + (
            drift * time[:, None, None]
        )
        phase += rng.random()
        phase *= 2 * np.pi
        wave = np.sin(phase.astype(np.float32))
        part = np.empty_like(wave)
        for plane, strength in zip(canvas, rng.uniform(-16, 16, 3).astype(np.float32), strict=True):
            plane += np.multiply(wave, strength, out=part)
    return canvas


def _distractor(rng: np.random.Generator, canvas: np.ndarray, bar: bool) -> None:
    """A small speck or bar that moves about and is never asked for."""
    frames, size = canvas.shape[1:3]
    place, step = rng.random(2), rng.uniform(-0.05, 0.05, 2)
    grey, radius = rng.uniform(110, 160), rng.uniform(0.018, 0.03)
    centres = place + np.arange(frames)[:, None] * step
    if not bar:
        places, x, y = window(centres, radius, size)
        blend(canvas, places, np.hypot(x, y) - radius, np.full(3, grey, np.float32))
        return
    length, angle = rng.uniform(0.06, 0.1), rng.uniform(0, np.pi)
    colour = (np.array(RGB[str(rng.choice(list(RGB)))], np.float32) + grey) / 2
    places, x, y = window(centres, length, size)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    blend(canvas, places, np.maximum(np.abs(along) - length, np.abs(across) - radius / 2), colour)


def _paint(canvas: np.ndarray, thing: Thing) -> None:
    frames, size = canvas.shape[1:3]
    centres, radii, colours, hollow = states(thing, frames)
    places, x, y = window(centres, REACH * radii.max(), size)
    distance = DISTANCE[thing.form](*turned(thing, x, y), radii)
    if hollow.any():
        distance[hollow] = np.abs(distance[hollow] + OUTLINE / 2) - OUTLINE / 2
    blend(canvas, places, distance, np.array([RGB[colour] for colour in colours], np.float32))
