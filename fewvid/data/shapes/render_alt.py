"""The same scenes in another look: rounded, shaded, shadowed shapes over clouds or checks.

It is for asking whether a model knows the world or one way of drawing it. As in `render`, nothing
that is drawn says what comes before or after: light, shadow and grain are those of the whole clip.
"""

from __future__ import annotations

import numpy as np

from fewvid.data.shapes.canvas import blend, finished, window
from fewvid.data.shapes.forms import REACH, states, turned
from fewvid.data.shapes.scene import CLUTTER, Scene, Thing

RGB = {
    "red": (214, 28, 48),
    "green": (92, 186, 24),
    "blue": (24, 120, 226),
    "yellow": (252, 208, 20),
    "purple": (146, 44, 190),
    "white": (236, 240, 246),
}
INK = 0.3  # an edge's brightness, of its shape's
LINE = 0.009  # width of an edge, in frame widths
BAND = 0.37  # width of a hollow shape's band, in radii: a small cross shows its hole too
SHADOW = 0.035  # how far a shadow falls, in frame widths


def render_alt(scene: Scene, size: int = 64) -> np.ndarray:
    """uint8[frames,size,size,3], RGB."""
    rng = np.random.default_rng(scene.look_seed)
    canvas = _background(rng, scene.frames, size)
    for number in range(scene.clutter):
        _distractor(rng, canvas, bar=number >= CLUTTER)
    falls = rng.uniform(0, 2 * np.pi)
    light = -np.array([np.cos(falls), np.sin(falls)])
    for thing in scene.things:
        _shade(canvas, thing, light)
    for thing in scene.things:
        _paint(canvas, thing, light)
    canvas *= _vignette(size)
    half = -(-size // 2)
    grain = rng.normal(0.0, 5.0, (scene.frames, half, half)).astype(np.float32)
    canvas += grain.repeat(2, axis=1).repeat(2, axis=2)[:, :size, :size]
    return finished(canvas, rng, 1.5)


def _background(rng: np.random.Generator, frames: int, size: int) -> np.ndarray:
    """Soft clouds or checks that drift, without a seam on the torus, float32[3,T,size,size]."""
    u = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = u[None, None, :], u[None, :, None]
    time = np.linspace(0, 1, frames, dtype=np.float32)[:, None, None]
    if rng.random() < 0.5:
        pattern = np.zeros((frames, size, size), np.float32)
        for _ in range(6):
            across, down = (int(n) for n in rng.integers(-4, 5, 2))
            phase = across * x + down * y + (rng.uniform(-1, 1) * time + rng.random())
            pattern += np.sin(np.float32(2 * np.pi) * phase) / np.float32(
                1 + np.hypot(across, down)
            )
    else:
        drift, start = rng.uniform(-0.5, 0.5, 2), rng.random(2)
        across, down = (int(n) for n in rng.integers(2, 5, 2))
        columns = np.sin(2 * np.pi * (across * x + drift[0] * time + start[0]))
        rows = np.sin(2 * np.pi * (down * y + drift[1] * time + start[1]))
        pattern = np.clip(5 * columns * rows, -1, 1).astype(np.float32)
    tint = rng.uniform(75, 125) + rng.uniform(-14, 14, 3)
    strength = rng.uniform(12, 22) * rng.choice((-1, 1)) + rng.uniform(-6, 6, 3)
    planes = zip(tint.astype(np.float32), strength.astype(np.float32), strict=True)
    return np.stack([base + part * pattern for base, part in planes])


def _distractor(rng: np.random.Generator, canvas: np.ndarray, bar: bool) -> None:
    """A small dark tile or bar that moves about and is never asked for."""
    frames, size = canvas.shape[1:3]
    place, step = rng.random(2), rng.uniform(-0.05, 0.05, 2)
    grey, radius, angle = rng.uniform(25, 55), rng.uniform(0.014, 0.022), rng.uniform(0, np.pi)
    length = rng.uniform(0.06, 0.1) if bar else radius
    places, x, y = window(place + np.arange(frames)[:, None] * step, 1.5 * length, size)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = np.maximum(np.abs(along) - length, np.abs(across) - radius)
    blend(canvas, places, distance, np.full(3, grey, np.float32))


def _shade(canvas: np.ndarray, thing: Thing, light: np.ndarray) -> None:
    """The soft shadow of a thing, away from the light."""
    places, _, _, distance, _ = _outline(canvas, thing, -SHADOW * light)
    dark = np.full(3, 10, np.float32)
    blend(canvas, places, distance, dark, soft=0.05 * canvas.shape[-1], strength=0.55)


def _paint(canvas: np.ndarray, thing: Thing, light: np.ndarray) -> None:
    """A thing with a dark edge, brighter on the side of the light."""
    places, x, y, distance, radii = _outline(canvas, thing, np.zeros(2))
    names = [thing.colour(frame) for frame in range(canvas.shape[1])]
    colours = np.array([RGB[name] for name in names], np.float32)
    blend(canvas, places, distance, np.float32(INK) * colours)
    lit = np.clip(0.5 + (light[0] * x + light[1] * y) / (2 * radii), 0, 1)
    inner = distance + LINE
    blend(canvas, places, inner, np.float32(0.72) * colours)
    blend(
        canvas, places, inner, np.minimum(1.12 * colours + 12, 255).astype(np.float32), strength=lit
    )


def _outline(canvas: np.ndarray, thing: Thing, aside: np.ndarray):
    """Places, offsets x and y, distance to the drawn band or area, and radii, frame by frame."""
    frames, size = canvas.shape[1:3]
    centres, radii, _, hollow = states(thing, frames)
    places, x, y = window(centres + aside, REACH * radii.max() + 0.05, size)
    distance = DISTANCE[thing.form](*turned(thing, x, y), radii)
    if hollow.any():
        half = BAND / 2 * radii[hollow]
        distance[hollow] = np.abs(distance[hollow] + half) - half
    return places, x, y, distance, radii


def _vignette(size: int) -> np.ndarray:
    """How bright each pixel of a frame is, float32[size,size]: less in the corners."""
    u = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    return 1 - np.float32(0.14) * (u[:, None] ** 2 + u[None, :] ** 2)


def _rounded(a, b, width):
    """The larger of two distances, with the corner between them rounded over `width`."""
    return np.maximum(a, b) + np.maximum(width - np.abs(a - b), 0) ** 2 / (4 * width)


def _circle(x, y, r):
    return np.hypot(x, y) - r


def _square(x, y, r):
    return _rounded(np.abs(x) - 0.88 * r, np.abs(y) - 0.88 * r, 0.45 * r)


def _triangle(x, y, r):
    side, half = np.sqrt(3) / 2 * x, y / 2
    return _rounded(_rounded(side - half, -side - half, 0.3 * r), y, 0.3 * r) - 0.66 * r


def _cross(x, y, r):
    a, b = np.abs(x), np.abs(y)
    arm, length, corner = 0.5 * r, 1.15 * r, 0.3 * r
    return np.minimum(_rounded(a - length, b - arm, corner), _rounded(b - length, a - arm, corner))


DISTANCE = {"circle": _circle, "square": _square, "triangle": _triangle, "cross": _cross}
