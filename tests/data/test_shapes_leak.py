"""No single frame answers a temporal question: an oracle of one frame's whole state cannot.

The oracle is told the true state of one frame (every thing's form, colour, size, look and place,
the asked ones first) and fits all products of two such features by ridge regression. Shown the
first and the last frame it sees directions and changes at once, so it can see what there is.
"""

import numpy as np
import pytest

from fewvid.data.shapes.questions import CHANGES, NUMBERS, TEMPORAL
from fewvid.data.shapes.scene import COLOURS, DIRECTIONS, FORMS, LOOKS, SIZES
from fewvid.data.shapes.world import FRAMES, World, scene_of

THINGS, SCENES, MOST = 2, 20_000, 9000  # MOST: scenes of a dimension
CLASSES = {"direction": tuple(DIRECTIONS), "events": NUMBERS, "change": CHANGES}


def state(thing, frame):
    """One thing of one frame, as numbers; where it is by four angles on the torus."""
    if thing is None:
        return np.zeros(1 + len(FORMS) + len(COLOURS) + 2 + 8)
    x, y = 2 * np.pi * np.array(thing.centre(frame, FRAMES))
    place = [f(n * u) for f in (np.sin, np.cos) for n in (1, 2) for u in (x, y)]
    marks = [[1.0]]
    for value, values in ((thing.form, FORMS), (thing.colour(frame), COLOURS)):
        marks.append([float(value == other) for other in values])
    marks.append([float(thing.size(frame) == SIZES[0]), float(thing.look_at(frame) == LOOKS[0])])
    return np.concatenate([*marks, place])


@pytest.fixture(scope="module")
def asked():
    """By dimension: [(things with the asked ones first, class of the answer)], one a scene."""
    world, found = World(0, 0, seed=5, things=THINGS), {name: [] for name in TEMPORAL}
    for index in range(SCENES):
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
    return found


def accuracy(found, frames):
    """Of the oracle that sees these frames, on the third of scenes that it was not fitted to.

    Returns (accuracy, chance, standard error of chance).
    """
    train = 2 * len(found) // 3
    x = np.array([np.concatenate([state(t, f) for f in frames for t in ts]) for ts, _ in found])
    upper = np.triu_indices(x.shape[1])
    x = (x[:, upper[0]] * x[:, upper[1]]).astype(np.float32)
    x = x[:, x.std(0) > 1e-6]
    x = np.concatenate([(x - x.mean(0)) / x.std(0), np.ones((len(x), 1), np.float32)], axis=1)
    answer = np.array([c for _, c in found])
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


@pytest.mark.parametrize("dimension", ["direction", "change"])
def test_the_same_oracle_sees_it_in_two_frames(asked, dimension):
    assert accuracy(asked[dimension], [0, FRAMES - 1])[0] > 0.9
