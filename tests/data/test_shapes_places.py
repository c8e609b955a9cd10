"""Where things are said to be is where `render` paints them."""

import dataclasses

import numpy as np

from fewvid.data.shapes.places import in_patches, places
from fewvid.data.shapes.render import render
from fewvid.data.shapes.world import World, scene_of


def test_what_changes_when_a_thing_is_taken_out_is_where_it_was():
    world = World(clips=4, images=4)
    for index in range(6):
        scene, _ = scene_of(world, "test", "video", index)
        without = dataclasses.replace(scene, things=scene.things[:-1])
        painted = np.abs(render(scene).astype(int) - render(without)).max(axis=-1) > 40
        inside = places(scene, 64)[-1]
        others = places(without, 64).any(axis=0)
        hollow = [scene.things[-1].look_at(t) == "hollow" for t in range(scene.frames)]
        for t in range(scene.frames):
            assert not (painted[t] & ~inside[t]).sum() > 0.25 * inside[t].sum()  # soft edges
            if not hollow[t]:
                seen = inside[t] & ~others[t]
                assert painted[t][seen].mean() > 0.8


def test_a_patch_says_how_much_of_it_a_thing_takes():
    inside = np.zeros((1, 1, 8, 8), bool)
    inside[0, 0, :4, :2] = True
    np.testing.assert_array_equal(in_patches(inside, 4)[0, 0], [0.5, 0, 0, 0])
