"""The forms as signed distances in frame widths, negative inside: (x, y, radius) to distance."""

from __future__ import annotations

import numpy as np

from fewvid.data.shapes.scene import RADIUS, Thing

REACH = 1.3  # radii from its centre, beyond which no form goes


def states(thing: Thing, frames: int) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Frame by frame: centres float64[T,2], radii float64[T,1,1], colours, hollow bool[T]."""
    times = range(frames)
    centres = np.array([thing.centre(frame, frames) for frame in times])
    radii = np.array([RADIUS[thing.size(frame)] for frame in times])[:, None, None]
    hollow = np.array([thing.look_at(frame) == "hollow" for frame in times])
    return centres, radii, [thing.colour(frame) for frame in times], hollow


def turned(thing: Thing, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from a thing's centre as the thing has them, which turns over the clip."""
    frames = len(x)
    angles = thing.angle + thing.spin * np.arange(frames) / max(frames - 1, 1)
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    return cos * x + sin * y, cos * y - sin * x


def _circle(x, y, r):
    return np.hypot(x, y) - r


def _square(x, y, r):
    return np.maximum(np.abs(x), np.abs(y)) - 0.85 * r


def _triangle(x, y, r):
    slope = np.float32(np.sqrt(3) / 2)
    side, half = slope * x, y / 2
    return np.maximum(np.maximum(side - half, -side - half), y) - 0.6 * r


def _cross(x, y, r):
    a, b = np.abs(x), np.abs(y)
    arm = 0.36 * r
    return np.minimum(np.maximum(a - 1.1 * r, b - arm), np.maximum(b - 1.1 * r, a - arm))


DISTANCE = {"circle": _circle, "square": _square, "triangle": _triangle, "cross": _cross}
