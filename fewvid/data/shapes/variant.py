"""Variations of the world, for studies: what moves, how much, for how long and in which look.

The default is the world that the packaged model knows. A variant draws from the same seeds: where
two differ in `look` or `dimensions` alone, their samples show the same scenes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from fewvid.data.shapes.scene import CLUTTER, COLOURS, DIRECTIONS, FORMS

FPS, SIZE = 4, 64  # frames a second; width and height of a frame in pixels
MOTIONS = ("any", "still", "slow", "fast")
SCALES = ("any", "small", "large")
# Three blinks, and two changes of colour, need this many frames to be two apart from each other;
# a clip of two frames changes in its middle.
LEAST_FRAMES = {"events": 6, "order": 4, "when": 3}


@dataclass(frozen=True)
class Variant:
    """How a world differs from the default one. `fewvid.data.shapes.limits` says what may be.

    frames: of a clip; how far things travel is per clip, so more frames are smaller steps.
    motion: nothing moves ("still"), or everything does, at one speed ("slow", "fast").
    clutter: distractors of a scene: grey specks, and past the third bars in dull colours.
    scale: all things are of this size, and none is resized. look: a key of `RENDERERS`.
    dimensions: the questions that are asked, all where it is empty.
    forms, colours, directions: those that occur. The valid answers to a question stay the same.
    """

    frames: int = 8
    motion: str = "any"
    clutter: int = CLUTTER
    scale: str = "any"
    look: str = "shapes"
    dimensions: tuple[str, ...] = ()
    forms: tuple[str, ...] = FORMS
    colours: tuple[str, ...] = COLOURS
    directions: tuple[str, ...] = tuple(DIRECTIONS)

    def changes(self) -> dict[str, Any]:
        """The fields that differ from the default, as JSON has them (lists for tuples)."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        default = {f.name: f.default for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != default[name]
        }
