"""Scenes as text: what each frame shows, in words, for a decoder that learns to read first.

A language model brings to a video model what it has read of order, motion and change. The
decoder of this world reads such transcripts, as any LLM has read its corpus, and sees no pixel.
"""

from __future__ import annotations

from fewvid.data.shapes.questions import NUMBERS
from fewvid.data.shapes.scene import Scene, Thing

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
COLUMNS = tuple(f"x{i}" for i in range(8))
ROWS = tuple(f"y{i}" for i in range(8))


def transcribe(scene: Scene) -> str:
    """E.g. "the frames show : two shapes . first : red full small circle x3 y5 , ... . second : ..."."""
    frames = [
        f"{ORDINALS[frame % len(ORDINALS)]} : "
        + " , ".join(_describe(thing, frame, scene.frames) for thing in scene.things)
        for frame in range(scene.frames)
    ]
    return f"{NUMBERS[len(scene.things) - 1]} . " + " . ".join(frames) + " ."


def _describe(thing: Thing, frame: int, frames: int) -> str:
    x, y = thing.centre(frame, frames)
    place = f"{COLUMNS[int(x * 8) % 8]} {ROWS[int(y * 8) % 8]}"
    look, size = thing.look_at(frame), thing.size(frame)
    return f"{thing.colour(frame)} {look} {size} {thing.form} {place}"
