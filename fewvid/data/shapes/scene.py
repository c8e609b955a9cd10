"""Scenes: which things there are, where, and how they change over a clip.

No single frame betrays anything temporal, whichever frame it is. That is by construction:
positions are uniform on a torus (what leaves at one side comes back at the other), so they are
uniform at every moment whatever the direction and speed; colours, sizes and looks before and
after a change have the same distribution, so each state is as likely at every moment whatever
changes, when and how often. Nothing is rejected by where a moving thing will be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FORMS = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
SIZES = ("small", "large")
LOOKS = ("full", "hollow")
MOST = 3  # things of a scene: each has two colours to itself
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SPEEDS = {"slow": (0.12, 0.17), "fast": (0.36, 0.42)}  # frame widths a clip; under 0.5, or it
# would be ambiguous on a torus which way a thing went
RADIUS = {"small": 0.095, "large": 0.15}  # of the frame's width
APART = 0.32  # between the centres of things that must not overlap, in frame widths


@dataclass(frozen=True)
class Thing:
    """One shape. A value that changes is (before, after) with the frame index of the change."""

    form: str
    colours: tuple[str, str]
    recoloured_at: int | None
    sizes: tuple[str, str]
    resized_at: int | None
    look: str  # at the first frame
    blinks: tuple[int, ...]  # frame indices from which the look is the other one
    start: tuple[float, float]  # centre at the first frame, in frame widths
    direction: str | None
    speed: str | None
    travel: float  # frame widths over the whole clip
    angle: float  # radians at the first frame
    spin: float  # radians over the whole clip

    def colour(self, frame: int) -> str:
        return self.colours[self.recoloured_at is not None and frame >= self.recoloured_at]

    def size(self, frame: int) -> str:
        return self.sizes[self.resized_at is not None and frame >= self.resized_at]

    def look_at(self, frame: int) -> str:
        flips = sum(frame >= blink for blink in self.blinks)
        return LOOKS[(LOOKS.index(self.look) + flips) % 2]

    def centre(self, frame: int, frames: int) -> tuple[float, float]:
        """Of the frame's width, in 0..1, x to the right and y down."""
        dx, dy = DIRECTIONS[self.direction] if self.direction else (0, 0)
        gone = self.travel * frame / max(frames - 1, 1)
        return (self.start[0] + dx * gone) % 1.0, (self.start[1] + dy * gone) % 1.0

    @property
    def moves(self) -> bool:
        return self.direction is not None


@dataclass(frozen=True)
class Scene:
    """Everything that a clip of `frames` frames shows; an image is a scene of one frame."""

    things: tuple[Thing, ...]
    frames: int
    order_pair: tuple[int, int] | None  # two things that each change colour once, not together
    look_seed: int  # background, distractors and noise


def image_scene(rng: np.random.Generator, most: int) -> Scene:
    """One frame with 1 to `most` (at most MOST) things that do not overlap."""
    things = tuple(_things(rng, 1, most))
    places = _apart(rng, len(things), still=[True] * len(things))
    return Scene(_placed(things, places), 1, None, int(rng.integers(2**31)))


def clip_scene(rng: np.random.Generator, frames: int, most: int) -> Scene:
    """A clip with 1 to `most` things, some of which move, change colour or size, or blink."""
    things = _things(rng, frames, most)
    pair = None
    if len(things) >= 2 and rng.random() < 0.8:
        pair = (int(rng.integers(len(things))), 0)
        others = [i for i in range(len(things)) if i != pair[0]]
        pair = (pair[0], int(rng.choice(others)))
        first = int(rng.integers(1, frames - 2))
        second = int(rng.integers(first + 2, frames))
        # Only these two change colour: it is clear which is meant by the first and the last.
        things = [_replace(thing, recoloured_at=None) for thing in things]
        for index, moment in zip(pair, (first, second), strict=True):
            things[index] = _replace(things[index], recoloured_at=moment, resized_at=None)
    places = _apart(rng, len(things), still=[not t.moves for t in things])
    return Scene(_placed(things, places), frames, pair, int(rng.integers(2**31)))


def _things(rng: np.random.Generator, frames: int, most: int) -> list[Thing]:
    count = int(rng.integers(1, most + 1))
    forms = rng.permutation(FORMS)[:count]
    colours = rng.permutation(COLOURS)
    return [
        _thing(rng, str(form), (str(colours[2 * i]), str(colours[2 * i + 1])), frames)
        for i, form in enumerate(forms)
    ]


def _thing(rng: np.random.Generator, form: str, colours: tuple[str, str], frames: int) -> Thing:
    moving = frames > 1
    change = str(rng.choice(["colour", "size", "nothing"])) if moving else "nothing"
    at = int(rng.integers(1, frames)) if moving else None
    sizes = rng.permutation(SIZES)
    blinks: tuple[int, ...] = ()
    if moving and rng.random() < 0.5:
        blinks = _moments(rng, frames, count=int(rng.integers(1, 4)))
    speed = str(rng.choice(list(SPEEDS))) if moving and rng.random() < 0.75 else None
    return Thing(
        form=form,
        colours=colours,
        recoloured_at=at if change == "colour" else None,
        sizes=(str(sizes[0]), str(sizes[1])),
        resized_at=at if change == "size" else None,
        look=str(rng.choice(LOOKS)),
        blinks=blinks,
        start=(0.0, 0.0),
        direction=str(rng.choice(list(DIRECTIONS))) if speed else None,
        speed=speed,
        travel=float(rng.uniform(*SPEEDS[speed])) if speed else 0.0,
        angle=float(rng.uniform(0, 2 * np.pi)),
        spin=float(rng.uniform(-1.0, 1.0)) if moving else 0.0,
    )


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


def _placed(things: list[Thing] | tuple[Thing, ...], places: np.ndarray) -> tuple[Thing, ...]:
    pairs = zip(things, places, strict=True)
    return tuple(_replace(t, start=(float(x), float(y))) for t, (x, y) in pairs)


def _replace(thing: Thing, **changes: object) -> Thing:
    return Thing(**{**thing.__dict__, **changes})  # type: ignore[arg-type]
