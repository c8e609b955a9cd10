"""What can be asked of a scene: questions with one-word answers, by dimension.

A static question is answered by one frame, a temporal one is not. The answers of each dimension
are equally likely by construction, so chance is one over their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fewvid.data.shapes.captions import describe
from fewvid.data.shapes.scene import COLOURS, DIRECTIONS, FORMS, LOOKS, SIZES, Scene, Thing
from fewvid.data.shapes.variant import LEAST_FRAMES, Variant

NUMBERS = ("one", "two", "three")
ORDER = ("first", "last")
HALVES = ("start", "end")
CHANGES = ("colour", "size", "nothing")
CLEAR = 0.06  # a place is asked for only where it is this far (frame widths) from ambiguous

PICTURE = ("colour", "shape", "count", "place", "existence", "size", "look", "relation")
MOMENT = ("moment", "moment_colour")  # one frame is enough, if it is the first, or the last
STATIC = PICTURE + MOMENT
TEMPORAL = ("direction", "speed", "order", "when", "events", "change")
CHANCE = {
    "colour": 1 / 6, "shape": 1 / 4, "count": 1 / 3, "place": 1 / 2, "existence": 1 / 2,
    "size": 1 / 2, "look": 1 / 2, "relation": 1 / 2,
    "moment": 1 / 2, "moment_colour": 1 / 6,
    "direction": 1 / 4, "speed": 1 / 2, "order": 1 / 2, "when": 1 / 2, "events": 1 / 3,
    "change": 1 / 3,
}  # fmt: skip
DEFAULT = Variant()
OF_SEVERAL = ("count", "relation", "order")  # not asked where a scene has one thing


@dataclass(frozen=True)
class Question:
    """A question in words, its answer, and the answers that would have been valid."""

    dimension: str
    text: str
    answer: str
    answers: tuple[str, ...]

    @property
    def kind(self) -> str:
        return "temporal" if self.dimension in TEMPORAL else "static"


def chances(most: int, variant: Variant = DEFAULT) -> dict[str, float]:
    """What guessing gives in each dimension that a world of up to `most` things is asked.

    Where a variant lets fewer answers occur than are valid, a guess is among those that occur.
    """
    asked = CHANCE | {"count": 1 / most, "colour": 1 / len(variant.colours)}
    asked |= {"moment_colour": asked["colour"], "shape": 1 / len(variant.forms)}
    asked |= {"direction": 1 / len(variant.directions)}
    left_out = {name for name, least in LEAST_FRAMES.items() if variant.frames < least}
    left_out |= set(OF_SEVERAL) if most == 1 else set()
    if len(variant.forms) <= most:  # in a scene with all of them the answer would be yes
        left_out.add("existence")
    if variant.motion != "any":
        left_out |= {"speed", "direction"} if variant.motion == "still" else {"speed"}
    if variant.scale != "any":
        left_out.add("size")
        asked["change"] = 1 / 2  # colour or nothing
        if variant.motion == "still" and variant.frames < LEAST_FRAMES["events"]:
            left_out.add("moment")
    names = variant.dimensions or CHANCE
    return {d: c for d, c in asked.items() if d in names and d not in left_out}


def ask(
    scene: Scene, rng: np.random.Generator, most: int, variant: Variant = DEFAULT
) -> list[Question]:
    """All questions that fit the scene, in a random order; existence once, of a random form.

    most: how many things a scene of this world may have, the answers to a count.
    """
    found: list[Question] = []
    if len(variant.forms) > most:
        found.append(_existence(scene, rng, variant.forms))
    if most > 1:
        found.append(_count(scene, most))
    for thing in scene.things:
        found += _of_one(thing, scene)
    for pair in combinations(range(len(scene.things)), 2):
        first, second = rng.permutation(pair).tolist()
        found += _of_two(first, second, scene)
    asked = chances(most, variant)
    shuffled = (found[i] for i in rng.permutation(len(found)))
    return [question for question in shuffled if question.dimension in asked]


def at_moment(question: Question, when: str) -> Question:
    """The same question about the start or the end of what is shown: "... at the start?"."""
    text = f"{question.text.removesuffix('?')} at the {when}?"
    return Question(question.dimension, text, question.answer, question.answers)


def captions(scene: Scene) -> list[Question]:
    """A picture's things in words, or a clip's first and last; there are no valid answers."""
    if scene.frames == 1:
        return [Question("caption", "Describe the picture.", describe(scene, 0), ())]
    moments = (("start", 0), ("end", scene.frames - 1))
    return [
        Question("caption", f"Describe the picture at the {when}.", describe(scene, frame), ())
        for when, frame in moments
    ]


def _of_one(thing: Thing, scene: Scene) -> list[Question]:
    name, found = f"the {thing.form}", []
    if thing.recoloured_at is None:
        colour = thing.colours[0]
        found.append(Question("colour", f"What colour is {name}?", colour, COLOURS))
        found.append(Question("shape", f"What shape is {colour}?", thing.form, FORMS))
    if thing.resized_at is None:
        found.append(Question("size", f"Is {name} small or large?", thing.sizes[0], SIZES))
    if not thing.blinks and any(map(thing.shows_look, range(scene.frames))):
        found.append(Question("look", f"Is {name} full or hollow?", thing.look, LOOKS))
    if not thing.moves:
        found += _place(f"Is {name}", "", thing.start)
    if scene.frames == 1:
        return found
    found += _at_moments(name, thing, scene.frames)
    if thing.direction:
        text = f"Which way does {name} move?"
        found.append(Question("direction", text, thing.direction, tuple(DIRECTIONS)))
        answer = SIZES[int(thing.speed == "fast")]
        found.append(Question("speed", f"Is the speed of {name} small or large?", answer, SIZES))
    if thing.blinks and all(map(thing.shows_look, range(scene.frames))):
        answer = NUMBERS[len(thing.blinks) - 1]
        found.append(Question("events", f"How many times does {name} blink?", answer, NUMBERS))
    for what, at in (("colour", thing.recoloured_at), ("size", thing.resized_at)):
        if at is not None and 2 * at != scene.frames:  # the middle is neither
            text = f"Does {name} change {what} at the start or the end?"
            found.append(Question("when", text, HALVES[int(2 * at > scene.frames)], HALVES))
    if scene.order_pair is None:  # where two are to be told apart, only they change colour
        changed = (thing.recoloured_at is not None, thing.resized_at is not None, True)
        answer = CHANGES[changed.index(True)]
        found.append(Question("change", f"What changes about {name}?", answer, CHANGES))
    return found


def _of_two(first: int, second: int, scene: Scene) -> list[Question]:
    one, other = scene.things[first], scene.things[second]
    found: list[Question] = []
    if not one.moves and not other.moves:
        dx, dy = other.start[0] - one.start[0], other.start[1] - one.start[1]
        names = f"the {one.form}", f"the {other.form}"
        if abs(dx) > 2 * CLEAR:
            text = f"Is {names[0]} left or right of {names[1]}?"
            answers = ("left", "right")
            found.append(Question("relation", text, answers[int(dx < 0)], answers))
        if abs(dy) > 2 * CLEAR:
            text = f"Is {names[0]} above or below {names[1]}?"
            answers = ("above", "below")
            found.append(Question("relation", text, answers[int(dy < 0)], answers))
    if scene.order_pair and {first, second} == set(scene.order_pair):
        for thing, answer in zip((scene.things[i] for i in scene.order_pair), ORDER, strict=True):
            text = f"Does the {thing.form} change colour first or last?"
            found.append(Question("order", text, answer, ORDER))
    return found


def _at_moments(name: str, thing: Thing, frames: int) -> list[Question]:
    """What changes, asked for at the start and at the end, where one frame tells it."""
    found = []
    for when, frame in (("start", 0), ("end", frames - 1)):
        at = f" at the {when}"
        if thing.recoloured_at is not None:
            text = f"What colour is {name}{at}?"
            found.append(Question("moment_colour", text, thing.colour(frame), COLOURS))
        if thing.resized_at is not None:
            text = f"Is {name} small or large{at}?"
            found.append(Question("moment", text, thing.size(frame), SIZES))
        if thing.blinks and thing.shows_look(frame):
            text = f"Is {name} full or hollow{at}?"
            found.append(Question("moment", text, thing.look_at(frame), LOOKS))
        if thing.moves:
            found += _place(f"Is {name}", at, thing.centre(frame, frames), "moment")
    return found


def _place(
    subject: str, when: str, place: tuple[float, float], dimension: str = "place"
) -> list[Question]:
    found = []
    for where, answers in zip(place, (("left", "right"), ("top", "bottom")), strict=True):
        # On a torus the frame's edge is as ambiguous as its middle: half a shape is on each side.
        if CLEAR < where % 0.5 < 0.5 - CLEAR:
            text = f"{subject} on the {answers[0]} or the {answers[1]}{when}?"
            found.append(Question(dimension, text, answers[int(where > 0.5)], answers))
    return found


def _count(scene: Scene, most: int) -> Question:
    answer, answers = NUMBERS[len(scene.things) - 1], NUMBERS[:most]
    return Question("count", "How many shapes are there?", answer, answers)


def _existence(scene: Scene, rng: np.random.Generator, forms: tuple[str, ...]) -> Question:
    present = [thing.form for thing in scene.things]
    wanted = bool(rng.integers(2))
    form = str(rng.choice(present if wanted else [f for f in forms if f not in present]))
    article = f"Is there a {form}?"
    return Question("existence", article, "yes" if wanted else "no", ("yes", "no"))
