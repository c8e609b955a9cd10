"""Variants of the world: the default is the world of old, the others stay balanced and valid."""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from fewvid.data.shapes import Variant, World, write_world
from fewvid.data.shapes.questions import CHANCE, chances
from fewvid.data.shapes.render import render
from fewvid.data.shapes.scene import COLOURS, DIRECTIONS, FORMS, SPEEDS
from fewvid.data.shapes.variant import LEAST_FRAMES
from fewvid.data.shapes.world import scene_of
from fewvid.errors import UserError


def scenes_of(variant, count, things=2, medium="video"):
    world = World(0, 0, seed=6, things=things, variant=variant)
    return [scene_of(world, "train", medium, index) for index in range(count)]


def test_the_default_is_the_world_that_it_always_was():
    """Scenes and questions to the letter; pixels to a few units, which CPUs may round apart."""
    words, total = hashlib.sha256(), 0
    for medium, number in (("video", 12), ("image", 40)):
        for index in range(number):
            scene, questions = scene_of(World(0, 0, seed=11, things=3), "train", medium, index)
            told = (scene.things, scene.order_pair, scene.look_seed, questions)
            words.update(repr(told).encode())
            shown = render(scene).astype(np.int64).ravel()
            total += int(shown @ (np.arange(shown.size) % 251))
    assert words.hexdigest()[:16] == "8666c5a2ab3dba54"
    assert total == pytest.approx(16073752276, abs=20_000)


@pytest.mark.parametrize(
    ("variant", "not_asked"),
    [
        (Variant(frames=16, motion="still", clutter=12), {"direction", "speed"}),
        (Variant(frames=32, motion="fast", scale="large"), {"speed", "size"}),
        (Variant(motion="slow", scale="small", look="alt"), {"speed", "size"}),
        (
            Variant(forms=FORMS[:2], colours=COLOURS[:4], directions=("left", "up")),
            {"existence"},
        ),
    ],
)
def test_a_variant_asks_what_has_several_answers_and_all_alike(variant, not_asked):
    counts = defaultdict(Counter)
    for scene, questions in scenes_of(variant, 1500):
        assert scene.frames == variant.frames
        assert scene.clutter == variant.clutter
        seen = set()
        for q in questions:
            assert q.answer in q.answers
            if q.dimension not in seen:  # one of a scene: the others hang together with it
                counts[q.dimension, q.answers][q.answer] += 1
            seen.add(q.dimension)
    asked = chances(2, variant)
    assert set(CHANCE) - set(asked) == not_asked
    # Where everything moves, only pictures are asked for places.
    of_pictures = {"place", "relation"} if variant.motion in SPEEDS else set()
    assert {name for name, _ in counts} == set(asked) - of_pictures
    for (name, _), found in counts.items():
        total, chance = sum(found.values()), asked[name]
        assert len(found) == round(1 / chance), name
        error = np.sqrt(total * chance * (1 - chance))
        for answer, count in found.items():
            assert abs(count - total * chance) < 4.5 * error, (name, answer, count, total)


@pytest.mark.parametrize("motion", ["still", "slow", "fast"])
def test_all_things_move_as_they_are_told(motion):
    for scene, _ in scenes_of(Variant(motion=motion), 50):
        assert {thing.speed for thing in scene.things} == {None if motion == "still" else motion}
        low, high = SPEEDS.get(motion, (0, 0))
        assert all(low <= thing.travel <= high for thing in scene.things)


@pytest.mark.parametrize("scale", ["small", "large"])
@pytest.mark.parametrize("medium", ["video", "image"])
def test_all_things_are_of_the_size_that_is_told(scale, medium):
    for scene, _ in scenes_of(Variant(scale=scale), 50, medium=medium):
        assert all(t.sizes == (scale, scale) and t.resized_at is None for t in scene.things)


def test_more_frames_are_the_same_travel_in_smaller_steps():
    scenes = [scene for scene, _ in scenes_of(Variant(frames=32), 300)]
    things = [thing for scene in scenes for thing in scene.things]
    assert max(thing.travel for thing in things) < 0.5
    assert max(thing.recoloured_at or 0 for thing in things) == 31
    assert {len(thing.blinks) for thing in things} == {0, 1, 2, 3}


def test_fewer_frames_than_a_question_needs_are_asked_without_it():
    for frames in (2, 3, 5):
        named = tuple(name for name in CHANCE if LEAST_FRAMES.get(name, 2) <= frames)
        seen = set()
        for scene, questions in scenes_of(Variant(frames=frames, dimensions=named), 100):
            assert not any(thing.blinks for thing in scene.things)
            assert (scene.order_pair is None) or frames >= 4
            seen |= {q.dimension for q in questions}
        assert seen == set(named)


def test_only_the_named_forms_colours_and_directions_occur():
    variant = Variant(forms=("cross", "circle"), colours=COLOURS[2:], directions=("up", "down"))
    answers = {"colour": COLOURS, "shape": FORMS, "direction": tuple(DIRECTIONS)}
    for scene, questions in scenes_of(variant, 200):
        for thing in scene.things:
            assert thing.form in variant.forms
            assert set(thing.colours) <= set(variant.colours)
            assert thing.direction in {None, *variant.directions}
        for q in questions:
            assert q.answers == answers.get(q.dimension, q.answers)


def test_named_dimensions_are_asked_of_the_same_scenes():
    named = ("direction", "events")
    pairs = zip(scenes_of(Variant(), 50), scenes_of(Variant(dimensions=named), 50), strict=True)
    for (scene, questions), (same, fewer) in pairs:
        assert same == scene
        assert fewer == [q for q in questions if q.dimension in named]


def test_the_other_look_shows_the_same_scenes():
    assert scenes_of(Variant(look="alt"), 30) == scenes_of(Variant(), 30)


@pytest.mark.parametrize(
    ("changes", "things", "message"),
    [
        ({"frames": 1}, 2, "--frames is 1, must be 2 to 64"),
        ({"frames": 65}, 2, "--frames is 65"),
        ({"frames": 5}, 2, "'events' need 6 or more"),
        ({"frames": 2, "dimensions": ("when",)}, 2, "'when' need 3 or more"),
        ({"frames": 3, "dimensions": ("order",)}, 2, "'order' need 4 or more"),
        ({"motion": "fsat"}, 2, "--motion is 'fsat', wanted any, .* Did you mean 'fast'"),
        ({"clutter": -1}, 2, "--clutter is -1, must be 0 to 64"),
        ({"scale": "huge"}, 2, "--scale is 'huge'"),
        ({"look": "art"}, 2, "--look is 'art', wanted shapes, alt"),
        ({"dimensions": ("directoin",)}, 2, "Did you mean 'direction'"),
        ({"dimensions": ("speed",), "motion": "slow"}, 2, "'speed' has one answer or none"),
        ({"dimensions": ("order",)}, 1, "'order' has one answer or none with --things 1"),
        ({"forms": FORMS[:2]}, 3, "need 3 or more"),
        ({"forms": ("circle", "circle")}, 1, "none twice"),
        ({"colours": COLOURS[:3]}, 2, "up to 2 things need 4 or more"),
        ({"directions": ("up",)}, 2, "need 2 or more"),
    ],
)
def test_variants_that_cannot_be_are_refused(changes, things, message):
    with pytest.raises(UserError, match=message):
        World(1, 1, things=things, variant=Variant(**changes))


def test_a_world_is_known_by_its_variant(tmp_path):
    variant = Variant(look="alt", frames=12, dimensions=("direction", "colour"))
    plain, other = tmp_path / "plain", tmp_path / "other"
    numbers = {"clips": 8, "images": 4, "workers": 1}
    write_world(plain, **numbers)
    write_world(other, **numbers, variant=variant)
    write_world(other, **numbers, variant=variant)
    about = [json.loads((folder / "world.json").read_text()) for folder in (plain, other)]
    assert "variant" not in about[0]["world"]
    assert about[1]["world"]["variant"] == {
        "frames": 12, "look": "alt", "dimensions": ["direction", "colour"],
    }  # fmt: skip
    assert (about[0]["frames"], about[1]["frames"]) == (8, 12)
    assert about[1]["chance"] == {"colour": 1 / 6, "direction": 1 / 4}
    for out, wanted in ((other, Variant()), (plain, variant), (other, replace(variant, frames=8))):
        with pytest.raises(UserError, match="holds another world"):
            write_world(out, **numbers, variant=wanted)


def test_a_world_that_asks_nothing_of_its_pictures_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image of train is asked about direction"):
        write_world(
            tmp_path / "w", clips=4, images=1, workers=1, variant=Variant(dimensions=("direction",))
        )
    assert list(tmp_path.iterdir()) == []
