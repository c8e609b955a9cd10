"""What is asked: balanced, valid, one word, and never about what is ambiguous."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from fewvid.checkpoints.model_directory import packaged_models
from fewvid.data.shapes.questions import CHANCE, PICTURE, STATIC, TEMPORAL, captions
from fewvid.data.shapes.world import World, scene_of
from fewvid.data.tokenizer import Chat, train_tokenizer

CLIPS, IMAGES = 5000, 4000


@pytest.fixture(scope="module")
def asked():
    """[(scene, questions)] of many clips and images."""
    world = World(0, 0, seed=3, things=3)
    media = [("video", i) for i in range(CLIPS)] + [("image", i) for i in range(IMAGES)]
    return [scene_of(world, "train", medium, index) for medium, index in media]


def test_every_dimension_is_asked_for_and_uniform(asked):
    counts = defaultdict(Counter)
    for _, questions in asked:
        seen = set()
        for q in questions:
            assert q.answer in q.answers
            assert len(set(q.answers)) == len(q.answers)
            assert q.kind == ("temporal" if q.dimension in TEMPORAL else "static")
            if q.dimension not in seen:  # one of a scene: the others hang together with it
                counts[q.dimension, q.answers][q.answer] += 1
            seen.add(q.dimension)
    assert {name for name, _ in counts} == set(STATIC) | set(TEMPORAL) == set(CHANCE)
    for (name, _), found in counts.items():
        total, chance = sum(found.values()), CHANCE[name]
        assert len(found) == round(1 / chance), name
        error = np.sqrt(total * chance * (1 - chance))
        for answer, count in found.items():
            assert abs(count - total * chance) < 4 * error, (name, answer, count, total)


def test_images_are_asked_static_questions_only(asked):
    names = {q.dimension for scene, questions in asked if scene.frames == 1 for q in questions}
    assert names == set(PICTURE)


def test_a_question_has_one_right_answer(asked):
    for _, questions in asked:
        answers = defaultdict(set)
        for q in questions:
            answers[q.text].add(q.answer)
        assert all(len(found) == 1 for found in answers.values())


@pytest.mark.parametrize("things", [1, 2, 3])
def test_as_many_things_as_the_world_has(things):
    world = World(0, 0, seed=1, things=things)
    counts = Counter()
    for index in range(300):
        scene, questions = scene_of(world, "test", "video", index)
        counts[len(scene.things)] += 1
        assert len({t.form for t in scene.things}) == len(scene.things)
        count = [q for q in questions if q.dimension == "count"]
        assert len(count) == (things > 1)
        for q in count:
            assert q.answers == ("one", "two", "three")[:things]
            assert q.answer == q.answers[len(scene.things) - 1]
    assert set(counts) == set(range(1, things + 1))
    assert max(abs(n - 300 / things) for n in counts.values()) < 4 * np.sqrt(300 / things)


def test_answers_say_what_the_scene_does(asked):
    for scene, questions in asked[:1500]:
        by_form, last = {t.form: t for t in scene.things}, scene.frames - 1
        for q in questions:
            named = [by_form[w] for w in re.findall(r"\w+", q.text) if w in by_form]
            first = named[0] if named else None
            if q.dimension == "direction":
                (x0, y0), (x1, y1) = (first.centre(f, scene.frames) for f in (0, last))
                moved = [(b - a + 0.5) % 1 - 0.5 for a, b in ((x0, x1), (y0, y1))]
                axis = int(abs(moved[1]) > abs(moved[0]))
                assert q.answer == (("left", "right"), ("up", "down"))[axis][int(moved[axis] > 0)]
            elif q.dimension == "events":
                looks = [first.look_at(f) for f in range(scene.frames)]
                flips = sum(a != b for a, b in pairwise(looks))
                assert q.answer == ("none", "one", "two", "three")[flips]
            elif q.dimension == "speed":
                assert q.answer == ("small", "large")[int(first.travel > 0.25)]
            elif q.dimension == "order":
                changes = [t.recoloured_at for t in scene.things if t.recoloured_at is not None]
                assert abs(changes[0] - changes[1]) >= 2
                assert len(changes) == 2
                assert q.answer == ("first", "last")[int(first.recoloured_at == max(changes))]
            elif q.dimension == "when":
                state_at = first.colour if "colour" in q.text else first.size
                states = [state_at(f) for f in range(scene.frames)]
                assert sum(a != b for a, b in pairwise(states)) == 1
                before, after = states.count(states[0]), states.count(states[-1])
                assert before != after  # shown alike long: neither the start nor the end
                assert q.answer == ("start", "end")[int(before > after)]
            elif q.dimension == "change":
                differs = {
                    "colour": first.colour(0) != first.colour(last),
                    "size": first.size(0) != first.size(last),
                }
                changed = [name for name, is_so in differs.items() if is_so] or ["nothing"]
                assert changed == [q.answer]
            elif q.dimension == "existence":
                assert q.answer == ("yes" if named else "no")
            elif q.dimension == "moment_colour":
                assert q.answer == first.colour(last if "end" in q.text else 0)


@pytest.mark.parametrize("pair", [False, True])
def test_a_change_is_as_often_at_the_start_as_at_the_end(asked, pair):
    """Also where two things change colour; only a change in the middle is not asked for."""
    answers, moments = Counter(), Counter()
    for scene, questions in asked[:CLIPS]:
        if (scene.order_pair is not None) == pair:
            found = [q.answer for q in questions if q.dimension == "when"]
            changed = [(t.recoloured_at, t.resized_at) for t in scene.things]
            at = [m for both in changed for m in both if m is not None]
            assert len(found) == sum(2 * m != scene.frames for m in at)  # all but the middle
            moments.update(at)
            answers.update(found[:1])  # one of a scene: the others hang together with it
    assert set(moments) == set(range(1, 8))
    total = sum(answers.values())
    assert total > 1000
    assert abs(answers["start"] - total / 2) < 4 * np.sqrt(total / 4), answers


def test_every_answer_is_one_token(asked):
    texts = [text for _, questions in asked for q in questions for text in (q.text, q.answer)]
    described = [q for scene, _ in asked[:300] for q in captions(scene)]
    chat = Chat(train_tokenizer(texts + [q.answer for q in described], 256))
    words = {answer for _, questions in asked for q in questions for answer in q.answers}
    assert len(words) > 25
    for word in words:
        ids = chat.answer_ids(word)
        assert len(ids) == 2, word
        assert chat.decode(ids) == word


def test_the_packaged_model_tells_valid_answers_apart_by_their_first_token(asked):
    """It was made before some of the questions were, and an exam looks at the first token."""
    chat = Chat.load(packaged_models()["shapes"])
    for valid in {q.answers for _, questions in asked for q in questions}:
        assert len({chat.answer_ids(answer)[0] for answer in valid}) == len(valid), valid


def test_captions_tell_a_picture_and_both_ends_of_a_clip(asked):
    clip, image = asked[0][0], asked[-1][0]
    assert [q.text for q in captions(clip)] == [
        "Describe the picture at the start.",
        "Describe the picture at the end.",
    ]
    (caption,) = captions(image)
    assert caption.answers == ()
    for thing, words in zip(
        sorted(image.things, key=lambda t: t.form), caption.answer.split(", "), strict=True
    ):
        x, y = (int(8 * u) for u in thing.start)
        expected = f"{thing.colours[0]} {thing.look} {thing.sizes[0]} {thing.form} x{x} y{y}"
        assert words == expected


def test_nobody_asks_for_the_hole_of_a_small_cross(asked):
    """Its arms are as thin as an outline: full and hollow are one picture."""
    about = defaultdict(Counter)
    for scene, questions in asked:
        words = " ".join(q.text for q in questions if "hollow" in q.text or "blink" in q.text)
        for thing in scene.things:
            if thing.resized_at is None:
                about[thing.form][thing.sizes[0], f"the {thing.form}" in words] += 1
    assert about.pop("cross").keys() == {("small", False), ("large", True)}
    for form, found in about.items():
        assert found.keys() == {("small", True), ("large", True)}, form
