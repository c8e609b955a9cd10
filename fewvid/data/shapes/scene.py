"""Scenes: which things there are, where, and how they change over a clip."""

from __future__ import annotations

from dataclasses import dataclass

FORMS = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
SIZES = ("small", "large")
LOOKS = ("full", "hollow")
MOST = 3  # things of a scene: each has two colours to itself
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SPEEDS = {"slow": (0.12, 0.17), "fast": (0.36, 0.42)}  # frame widths a clip; under 0.5, or it
# would be ambiguous on a torus which way a thing went
RADIUS = {"small": 0.095, "large": 0.15}  # of the frame's width
CLUTTER = 3


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

    def shows_look(self, frame: int) -> bool:
        """Whether the look can be seen: the arms of a small cross leave no room for a hole."""
        return self.form != "cross" or self.size(frame) == "large"

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
    clutter: int = CLUTTER  # distractors: what moves about and is never asked for
