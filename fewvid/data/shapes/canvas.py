"""A canvas with all frames of a clip, on which one shape is painted in all of them at once.

Frames are a torus: what is painted beyond one side comes in at the other. Colours are planes and
not interleaved, float32[3,T,size,size], because numpy is slow along an axis of three.
"""

from __future__ import annotations

import numpy as np


def window(centres: np.ndarray, radius: float, size: int):
    """The pixels around a centre in each frame, at least `radius` (frame widths) far.

    centres: float64[T,2], x and y in frame widths. Returns where they are in a plane of the canvas
    (int[T,W,W]) and how far from the centre, x float32[T,1,W] and y float32[T,W,1].
    """
    reach = int(np.ceil(radius * size)) + 1
    grid = np.floor(centres * size).astype(int)[:, :, None] + np.arange(-reach, reach + 1)
    offset = ((grid + 0.5) / size - centres[:, :, None]).astype(np.float32)
    grid %= size
    frame = np.arange(len(centres))[:, None, None]
    places = (frame * size + grid[:, 1, :, None]) * size + grid[:, 0, None, :]
    return places, offset[:, 0, None, :], offset[:, 1, :, None]


def blend(
    canvas: np.ndarray,
    places: np.ndarray,
    distance: np.ndarray,
    colours: np.ndarray,
    soft: float = 1.0,
    strength: float | np.ndarray = 1.0,
) -> None:
    """Paints where the signed distance is negative, with soft edges.

    places: int[T,W,W]. distance: frame widths, float[T,W,W]. colours: float32[T,3], or float32[3]
    for all frames. soft: width of an edge in pixels. strength: how much is covered, 0..1, of all
    or of each pixel (float[T,W,W]).
    """
    size = canvas.shape[-1]
    alpha = np.minimum(np.maximum(0.5 - distance * (size / soft), 0), 1) * strength
    alpha = alpha.astype(np.float32).ravel()
    inside = np.flatnonzero(alpha)
    alpha, at = alpha[inside], places.ravel()[inside]
    paint = colours[:, None] if colours.ndim == 1 else colours[inside // places[0].size].T
    for plane, colour in zip(canvas.reshape(3, -1), paint, strict=True):
        here = plane[at]
        plane[at] = here + alpha * (colour - here)


def finished(canvas: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
    """The canvas as pixels, uint8[T,size,size,3], with normal noise of that spread (0..255)."""
    _, frames, size, _ = canvas.shape
    pixels = np.empty((frames, size, size, 3), np.uint8)
    for frame, shown in enumerate(pixels):  # one at a time stays in the cache
        shaded = rng.normal(0.0, spread, shown.shape).astype(np.float32)
        for channel in range(3):
            shaded[..., channel] += canvas[channel, frame]
        np.rint(shaded, out=shaded)
        np.clip(shaded, 0, 255, out=shaded)
        shown[:] = shaded
    return pixels
