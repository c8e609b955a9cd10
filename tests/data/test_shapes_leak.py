"""No single frame answers a temporal question: an oracle of one frame's whole state cannot.

The oracle is told the true state of one frame (every thing's form, colour, size, look and place,
the asked ones first) and fits all products of two such features by ridge regression. Shown
several frames it sees every temporal dimension at once, so it can see what there is.
"""

import numpy as np
import pytest

from fewvid.data.shapes.questions import CHANGES, NUMBERS, TEMPORAL
from fewvid.data.shapes.scene import COLOURS, DIRECTIONS, FORMS, LOOKS, SIZES
from fewvid.data.shapes.variant import Variant
from fewvid.data.shapes.world import FRAMES, World, scene_of

THINGS, SCENES, MOST = 2, 20_000, 9000  # MOST: scenes of a dimension
CLASSES = {"direction": tuple(DIRECTIONS), "events": NUMBERS, "change": CHANGES}
ALL = ("form", "colour", "size", "look", "place")
# Few scenes each: together they cover every motion and scale, and clips shorter and longer.
VARIANTS = {
    "fast": Variant(frames=16, motion="fast", scale="large"),
    "slow": Variant(frames=6, motion="slow", scale="small", clutter=12),
    "still": Variant(frames=16, motion="still", look="alt"),
}
FEW = 5000


def state(thing, frame, frames, marks=ALL):
    """One thing of one frame, as numbers; where it is by four angles on the torus."""
    here = {} if thing is None else _marks(thing, frame, frames)
    width = {"form": len(FORMS), "colour": len(COLOURS), "size": 1, "look": 1, "place": 8}
    return np.concatenate(
        [[float(thing is not None)], *(here.get(mark, [0.0] * width[mark]) for mark in marks)]
    )


def _marks(thing, frame, frames):
    x, y = 2 * np.pi * np.array(thing.centre(frame, frames))
    return {
        "form": [float(thing.form == form) for form in FORMS],
        "colour": [float(thing.colour(frame) == colour) for colour in COLOURS],
        "size": [float(thing.size(frame) == SIZES[0])],
        "look": [float(thing.look_at(frame) == LOOKS[0])],
        "place": [f(n * u) for f in (np.sin, np.cos) for n in (1, 2) for u in (x, y)],
    }


def asked_of(variant, scenes):
    """By dimension: [(things with the asked ones first, class of the answer)], one a scene."""
    world = World(0, 0, seed=5, things=THINGS, variant=variant)
    found = {name: [] for name in TEMPORAL}
    for index in range(scenes):
        scene, questions = scene_of(world, "train", "video", index)
        for name in TEMPORAL:
            question = next((q for q in questions if q.dimension == name), None)
            if question and len(found[name]) < MOST:
                words = question.text.replace(",", "").replace("?", "").split()
                named = [t for word in words for t in scene.things if t.form == word]
                others = [t for t in scene.things if t not in named]
                classes = CLASSES.get(name, question.answers)
                slots = [*named, *others, None][:THINGS]
                found[name].append((slots, classes.index(question.answer)))
    return {name: samples for name, samples in found.items() if samples}


@pytest.fixture(scope="module")
def asked():
    return asked_of(Variant(), SCENES)


def accuracy(found, frames, marks=ALL, of=FRAMES):
    """Of the oracle that sees these frames, on the third of scenes that it was not fitted to.

    of: frames of the clips. Returns (accuracy, chance, standard error of chance).
    """
    train = 2 * len(found) // 3
    x = np.array(
        [np.concatenate([state(t, f, of, marks) for f in frames for t in ts]) for ts, _ in found]
    )
    upper = np.triu_indices(x.shape[1])
    x = (x[:, upper[0]] * x[:, upper[1]]).astype(np.float32)
    x = x[:, x.std(0) > 1e-6]
    x = np.concatenate([(x - x.mean(0)) / x.std(0), np.ones((len(x), 1), np.float32)], axis=1)
    answer = np.unique([c for _, c in found], return_inverse=True)[1]  # those that occur
    target = np.eye(answer.max() + 1, dtype=np.float32)[answer]
    gram = x[:train].T @ x[:train] + 30 * np.eye(x.shape[1], dtype=np.float32)
    guess = (x[train:] @ np.linalg.solve(gram, x[:train].T @ target[:train])).argmax(1)
    chance = 1 / target.shape[1]
    error = np.sqrt(chance * (1 - chance) / len(guess))
    return (guess == answer[train:]).mean(), chance, error


@pytest.mark.parametrize("frame", [0, FRAMES // 2, FRAMES - 1])
@pytest.mark.parametrize("dimension", TEMPORAL)
def test_one_frame_tells_no_more_than_chance(asked, dimension, frame):
    share, chance, error = accuracy(asked[dimension], [frame])
    assert share <= chance + 4 * error, f"{share:.3f}, chance {chance:.3f} +- {error:.3f}"


@pytest.mark.parametrize(
    ("dimension", "frames", "marks"),
    [
        ("direction", [0, FRAMES - 1], ALL),
        ("change", [0, FRAMES - 1], ALL),
        ("speed", [0, FRAMES - 1], ALL),
        ("order", range(FRAMES), ("colour",)),  # of all frames, what matters is enough to know
        ("when", [0, FRAMES // 2, FRAMES - 1], ("colour", "size")),  # in which half it changes
        ("events", range(FRAMES), ("look",)),
    ],
)
def test_the_same_oracle_sees_it_in_several_frames(asked, dimension, frames, marks):
    assert accuracy(asked[dimension], frames, marks)[0] > 0.9


@pytest.mark.parametrize("name", VARIANTS)
def test_one_frame_of_a_variant_tells_no_more_either(name):
    frames = VARIANTS[name].frames
    asked = asked_of(VARIANTS[name], FEW)
    moved = {"direction"} if name != "still" else set()
    assert set(asked) == {"order", "when", "events", "change"} | moved
    for dimension, found in asked.items():
        for frame in (0, frames // 2, frames - 1):
            share, chance, error = accuracy(found, [frame], of=frames)
            assert share <= chance + 4 * error, f"{dimension}, {frame}: {share:.3f}, {chance:.3f}"
    share, *_ = accuracy(asked["change"], [0, frames - 1], ("colour", "size"), of=frames)
    assert share > 0.9
