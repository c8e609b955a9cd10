"""Scenes in words: what a frame shows, thing by thing."""

from __future__ import annotations

from fewvid.data.shapes.scene import Scene, Thing

CELLS = 8  # columns x0..x7 and rows y0..y7


def describe(scene: Scene, frame: int) -> str:
    """All things of a frame, by form: "red full small circle x3 y5, blue hollow large ..."."""
    things = sorted(scene.things, key=lambda thing: thing.form)
    return ", ".join(_describe(thing, frame, scene.frames) for thing in things)


def _describe(thing: Thing, frame: int, frames: int) -> str:
    x, y = (int(CELLS * u) % CELLS for u in thing.centre(frame, frames))
    look, size = thing.look_at(frame), thing.size(frame)
    return f"{thing.colour(frame)} {look} {size} {thing.form} x{x} y{y}"
