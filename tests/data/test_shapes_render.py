"""Pictures of scenes: a torus, both looks, and nothing of the motion in a single frame."""

import dataclasses

import numpy as np
import pytest

from fewvid.data.shapes import render_alt
from fewvid.data.shapes.render import RGB, render
from fewvid.data.shapes.renderers import RENDERERS
from fewvid.data.shapes.scene import COLOURS, FORMS, LOOKS, RADIUS, SIZES, Scene, Thing

FRAMES = 8


def thing(**changes):
    plain = Thing(
        form="circle",
        colours=("red", "blue"),
        recoloured_at=None,
        sizes=("large", "small"),
        resized_at=None,
        look="full",
        blinks=(),
        start=(0.5, 0.5),
        direction=None,
        speed=None,
        travel=0.0,
        angle=0.0,
        spin=0.0,
    )
    return dataclasses.replace(plain, **changes)


def frames_of(*things, frames=FRAMES, seed=7, look="shapes", clutter=3):
    return RENDERERS[look](Scene(things, frames, None, seed, clutter), 64).astype(int)


def painted(pixels, colour):
    """Where a frame has a thing's colour."""
    return np.abs(pixels - np.array(RGB[colour])).sum(-1) < 100


def test_frames_are_pixels_of_the_same_scene_each_time():
    frames = render(Scene((thing(),), FRAMES, None, 7))
    assert frames.dtype == np.uint8
    assert frames.shape == (FRAMES, 64, 64, 3)
    np.testing.assert_array_equal(frames, frames_of(thing()))
    assert (frames_of(thing(), seed=8) != frames).mean() > 0.5


@pytest.mark.parametrize("form", FORMS)
def test_a_form_covers_about_its_area(form):
    full = painted(frames_of(thing(form=form))[0], "red")
    small = painted(frames_of(thing(form=form, sizes=("small", "large")))[0], "red")
    hollow = painted(frames_of(thing(form=form, look="hollow"))[0], "red")
    r = 64 * RADIUS["large"]
    areas = {"circle": np.pi, "square": 4 * 0.85**2, "triangle": 1.87, "cross": 2.65}
    assert full.sum() == pytest.approx(areas[form] * r**2, rel=0.2)
    assert small.sum() < 0.5 * full.sum()
    assert 0 < hollow.sum() < 0.75 * full.sum()
    assert not (hollow & ~full).any()


def test_what_leaves_on_one_side_comes_back_on_the_other():
    middle = painted(frames_of(thing())[0], "red")
    for start, shift in (((0.0, 0.5), (0, 32)), ((0.5, 0.0), (32, 0)), ((0.0, 0.0), (32, 32))):
        edge = painted(frames_of(thing(start=start))[0], "red")
        assert (edge != np.roll(middle, shift, axis=(0, 1))).sum() < 0.03 * middle.sum()
    assert painted(frames_of(thing(start=(0.0, 0.5)))[0], "red")[:, [0, -1]].any(0).all()


def test_motion_colour_size_and_looks_change_when_they_should():
    moving = frames_of(thing(direction="right", travel=0.42, start=(0.25, 0.5)))
    columns = [np.nonzero(painted(frame, "red"))[1].mean() for frame in moving]
    np.testing.assert_allclose(np.diff(columns), 64 * 0.42 / 7, atol=0.5)
    areas = [painted(f, "red").sum() for f in frames_of(thing(resized_at=3))]
    assert max(areas[3:]) < 0.5 * min(areas[:3])
    recoloured = frames_of(thing(recoloured_at=5))
    assert [bool(painted(f, "blue").sum() > 50) for f in recoloured] == [False] * 5 + [True] * 3
    blinking = [painted(f, "red")[30:34, 30:34].all() for f in frames_of(thing(blinks=(2, 4)))]
    assert blinking == [True, True, False, False, True, True, True, True]


@pytest.mark.parametrize("look", RENDERERS)
@pytest.mark.parametrize("frame", [0, 3, 7])
def test_scenes_equal_in_one_frame_look_equal_there(frame, look):
    """Nothing but the frame's own state shows: other motion, same picture."""
    ways = [
        {"direction": "left", "speed": "slow", "travel": 0.14, "spin": 0.7},
        {"direction": "up", "speed": "fast", "travel": 0.42, "spin": -0.7, "resized_at": None},
    ]
    clips = []
    for way in ways:
        still = thing(form="square", angle=1.0, start=(0.3, 0.6))
        gone = thing(**way).centre(frame, FRAMES)  # from (0.5, 0.5)
        start = tuple((0.3, 0.6)[i] - (gone[i] - 0.5) for i in range(2))
        angle = still.angle - way["spin"] * frame / (FRAMES - 1)
        shown = dataclasses.replace(still, **way, start=start, angle=angle)
        clips.append(frames_of(shown, look=look))
    one, other = (clip[frame] for clip in clips)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 1e-3  # sums that round otherwise
    elsewhere = 7 - frame if frame != 3 else 7
    assert (np.abs(clips[0][elsewhere] - clips[1][elsewhere]) > 30).mean() > 0.01


@pytest.mark.parametrize("look", RENDERERS)
def test_a_change_to_come_does_not_show_before_it(look):
    plain = frames_of(thing(), look=look)
    for change in ({"recoloured_at": 5}, {"resized_at": 5}, {"blinks": (5, 7)}):
        changed = frames_of(thing(**change), look=look)
        np.testing.assert_array_equal(changed[:5], plain[:5])
        assert (changed[5] != plain[5]).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES)
def test_the_other_look_keeps_colours_and_looks_apart(form, size):
    """Each colour is nearest to its own name's, and a hollow shape is open, a small cross too."""
    names = list(render_alt.RGB)
    for colour in COLOURS:
        shown = [
            frames_of(
                thing(form=form, colours=(colour, "red"), sizes=(size, size), look=look),
                frames=1, look="alt", clutter=0,
            )[0]
            for look in LOOKS
        ]  # fmt: skip
        centre = shown[0][30:34, 30:34].mean((0, 1))
        gaps = [np.abs(centre - np.array(render_alt.RGB[name])).sum() for name in names]
        assert names[int(np.argmin(gaps))] == colour
        differs = np.abs(shown[0] - shown[1]).sum(-1) > 60
        assert differs[31:33, 31:33].all()


@pytest.mark.parametrize("look", RENDERERS)
def test_clutter_covers_more_and_no_shape(look):
    plain, bare, full = (frames_of(thing(), look=look, clutter=n) for n in (3, 0, 12))
    covered = [(np.abs(clip - bare).sum(-1) > 80).mean() for clip in (plain, full)]
    assert covered[0] < covered[1] < 0.3
