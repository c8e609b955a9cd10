"""Scenes at random, of pictures and of clips.

No single frame betrays anything temporal, whichever frame it is. That is by construction:
positions are uniform on a torus (what leaves at one side comes back at the other), so they are
uniform at every moment whatever the direction and speed; colours, sizes and looks before and
after a change have the same distribution, so each state is as likely at every moment whatever
changes, when and how often. Nothing is rejected by where a moving thing will be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fewvid.data.shapes.scene import LOOKS, SIZES, SPEEDS, Scene, Thing
from fewvid.data.shapes.variant import LEAST_FRAMES, Variant

APART = 0.32  # between the centres of things that must not overlap, in frame widths


def image_scene(rng: np.random.Generator, most: int, variant: Variant) -> Scene:
    """One frame with 1 to `most` (at most MOST) things that do not overlap."""
    things = _things(rng, most, replace(variant, frames=1))
    places = _apart(rng, len(things), still=[True] * len(things))
    return Scene(_placed(things, places), 1, None, int(rng.integers(2**31)), variant.clutter)


def clip_scene(rng: np.random.Generator, most: int, variant: Variant) -> Scene:
    """A clip with 1 to `most` things, some of which move, change colour or size, or blink."""
    frames = variant.frames
    things = _things(rng, most, variant)
    pair = None
    if len(things) >= 2 and frames >= LEAST_FRAMES["order"] and rng.random() < 0.8:
        pair = (int(rng.integers(len(things))), 0)
        others = [i for i in range(len(things)) if i != pair[0]]
        pair = (pair[0], int(rng.choice(others)))
        first, second = _moments(rng, frames, count=2)
        # Only these two change colour: it is clear which is meant by the first and the last.
        things = [replace(thing, recoloured_at=None) for thing in things]
        for index, moment in zip(pair, (first, second), strict=True):
            things[index] = replace(things[index], recoloured_at=moment, resized_at=None)
    places = _apart(rng, len(things), still=[not t.moves for t in things])
    look_seed = int(rng.integers(2**31))
    return Scene(_placed(things, places), frames, pair, look_seed, variant.clutter)


def _things(rng: np.random.Generator, most: int, variant: Variant) -> list[Thing]:
    count = int(rng.integers(1, most + 1))
    forms = rng.permutation(variant.forms)[:count]
    colours = rng.permutation(variant.colours)
    return [
        _thing(rng, str(form), (str(colours[2 * i]), str(colours[2 * i + 1])), variant)
        for i, form in enumerate(forms)
    ]


def _thing(
    rng: np.random.Generator, form: str, colours: tuple[str, str], variant: Variant
) -> Thing:
    frames = variant.frames
    moving = frames > 1
    changes = [*(["colour", "size"] if variant.scale == "any" else ["colour"]), "nothing"]
    change = str(rng.choice(changes)) if moving else "nothing"
    at = int(rng.integers(1, frames)) if moving else None
    sizes = rng.permutation(SIZES) if variant.scale == "any" else (variant.scale,) * 2
    blinks: tuple[int, ...] = ()
    if frames >= LEAST_FRAMES["events"] and rng.random() < 0.5:
        blinks = _moments(rng, frames, count=int(rng.integers(1, 4)))
    speed = _speed(rng, variant.motion) if moving else None
    return Thing(
        form=form,
        colours=colours,
        recoloured_at=at if change == "colour" else None,
        sizes=(str(sizes[0]), str(sizes[1])),
        resized_at=at if change == "size" else None,
        look=str(rng.choice(LOOKS)),
        blinks=blinks,
        start=(0.0, 0.0),
        direction=str(rng.choice(variant.directions)) if speed else None,
        speed=speed,
        travel=float(rng.uniform(*SPEEDS[speed])) if speed else 0.0,
        angle=float(rng.uniform(0, 2 * np.pi)),
        spin=float(rng.uniform(-1.0, 1.0)) if moving else 0.0,
    )


def _speed(rng: np.random.Generator, motion: str) -> str | None:
    """Of a thing in a clip; None: it stays where it is."""
    if motion == "any":
        return str(rng.choice(list(SPEEDS))) if rng.random() < 0.75 else None
    return None if motion == "still" else motion


def _moments(rng: np.random.Generator, frames: int, count: int) -> tuple[int, ...]:
    """`count` frame indices in 1..frames-1, at least two frames apart."""
    free = frames - 1 - (count - 1)
    chosen = np.sort(rng.choice(free, size=count, replace=False))
    return tuple(int(c) + 1 + i for i, c in enumerate(chosen))


def _apart(rng: np.random.Generator, count: int, still: list[bool]) -> np.ndarray:
    """Start places float[count,2], uniform on the torus; still things keep apart from each other.

    A moving thing's place is never conditioned on: that could betray where it goes.
    """
    while True:
        places = rng.random((count, 2))
        here = places[np.array(still, bool)]
        gap = np.abs(here[:, None] - here[None])
        gap = np.hypot(*np.moveaxis(np.minimum(gap, 1 - gap), -1, 0))
        if (gap[~np.eye(len(here), dtype=bool)] > APART).all():
            return places


def _placed(things: list[Thing], places: np.ndarray) -> tuple[Thing, ...]:
    pairs = zip(things, places, strict=True)
    return tuple(replace(t, start=(float(x), float(y))) for t, (x, y) in pairs)
