"""Scenes as pixels: anti-aliased shapes on a torus over drifting gratings, specks and noise."""

from __future__ import annotations

import numpy as np

from fewvid.data.shapes.scene import RADIUS, Scene, Thing

RGB = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (50, 90, 245),
    "yellow": (240, 220, 40),
    "purple": (200, 60, 220),
    "white": (245, 245, 245),
}
OUTLINE = 0.04  # width of a hollow shape's line, of the frame's width
DISTRACTORS = 3


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """uint8[frames,size,size,3], RGB."""
    rng = np.random.default_rng(scene.look_seed)
    canvas = _background(rng, scene.frames, size)
    _distractors(rng, canvas)
    for thing in scene.things:
        for frame in range(scene.frames):
            _paint(canvas[frame], thing, frame, scene.frames)
    canvas += rng.normal(0.0, 4.0, canvas.shape).astype(np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, frames: int, size: int) -> np.ndarray:
    """Two gratings in dull colours that drift, float32[frames,size,size,3]."""
    u = (np.arange(size, dtype=np.float32) + 0.5) / size
    time = np.linspace(0, 1, frames, dtype=np.float32)
    canvas = np.empty((frames, size, size, 3), np.float32)
    canvas[:] = rng.uniform(45, 95, 3).astype(np.float32)
    for _ in range(2):
        waves = rng.integers(-3, 4, 2)  # whole waves, so that the torus has no seam
        drift = rng.uniform(-1, 1)
        phase = (waves[0] * u[None, None, :] + waves[1] * u[None, :, None]) + (
            drift * time[:, None, None]
        )
        wave = np.sin(2 * np.pi * (phase + rng.random()), dtype=np.float32)
        canvas += wave[..., None] * rng.uniform(-16, 16, 3).astype(np.float32)
    return canvas


def _distractors(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Small grey specks that move about and are never asked for."""
    frames, size = canvas.shape[:2]
    for _ in range(DISTRACTORS):
        place, step = rng.random(2), rng.uniform(-0.05, 0.05, 2)
        grey, radius = rng.uniform(110, 160), rng.uniform(0.018, 0.03)
        for frame in range(frames):
            rows, columns, x, y = _window(place + frame * step, radius, size)
            _blend(canvas[frame], rows, columns, np.hypot(x, y) - radius, (grey,) * 3)


def _paint(canvas: np.ndarray, thing: Thing, frame: int, frames: int) -> None:
    radius = RADIUS[thing.size(frame)]
    centre = np.array(thing.centre(frame, frames))
    rows, columns, x, y = _window(centre, 1.3 * radius, canvas.shape[0])
    angle = thing.angle + thing.spin * frame / max(frames - 1, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    distance = DISTANCE[thing.form](cos * x + sin * y, cos * y - sin * x, radius)
    if thing.look_at(frame) == "hollow":
        distance = np.abs(distance + OUTLINE / 2) - OUTLINE / 2
    _blend(canvas, rows, columns, distance, RGB[thing.colour(frame)])


def _window(centre: np.ndarray, radius: float, size: int):
    """The pixels around a centre on the torus: rows, columns and offsets x, y in frame widths."""
    reach = int(np.ceil(radius * size)) + 1
    span = np.arange(-reach, reach + 1)
    column, row = np.floor(centre * size).astype(int)
    x = (span + column + 0.5) / size - centre[0]
    y = (span + row + 0.5) / size - centre[1]
    rows, columns = (span + row) % size, (span + column) % size
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return rows, columns, x, y


def _blend(canvas, rows, columns, distance, colour) -> None:
    """Paints where the signed distance (frame widths) is negative, with edges one pixel soft."""
    alpha = np.clip(0.5 - distance * canvas.shape[0], 0, 1)[..., None].astype(np.float32)
    at = np.ix_(rows, columns)
    canvas[at] += alpha * (np.array(colour, np.float32) - canvas[at])


def _circle(x, y, r):
    return np.hypot(x, y) - r


def _square(x, y, r):
    return np.maximum(np.abs(x), np.abs(y)) - 0.85 * r


def _triangle(x, y, r):
    slope = np.float32(np.sqrt(3) / 2)
    return np.maximum(np.maximum(slope * x - y / 2, -slope * x - y / 2), y) - 0.6 * r


def _cross(x, y, r):
    a, b = np.abs(x), np.abs(y)
    arm = 0.36 * r
    return np.minimum(np.maximum(a - 1.1 * r, b - arm), np.maximum(b - 1.1 * r, a - arm))


DISTANCE = {"circle": _circle, "square": _square, "triangle": _triangle, "cross": _cross}
