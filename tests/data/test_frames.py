import numpy as np
import pytest

from fewvid.data.frames import MAX_CLIP_BYTES, Stack, choose
from fewvid.errors import UserError


@pytest.mark.parametrize("n", [1, 2, 3, 8, 100])
def test_all_frames_of_a_clip_of_just_so_many(n):
    times = np.arange(n) / 30
    assert choose(times, n).tolist() == list(range(n))
    assert choose(times, n + 5).tolist() == list(range(n))
    assert choose(times, None).tolist() == list(range(n))


def test_even_over_time_with_both_ends():
    assert choose(np.arange(101) / 25, 5).tolist() == [0, 25, 50, 75, 100]
    assert choose(np.arange(101) / 25, 1).tolist() == [50]


def test_by_time_and_not_by_number():
    times = np.concatenate([np.arange(90) * 0.01, [1.0, 2.0, 3.0, 4.0]])
    assert times[choose(times, 5)].tolist() == [0, 1, 2, 3, 4]


def test_the_frame_on_screen_is_the_last_one_shown():
    assert choose(np.array([0, 0.1, 0.9, 1.9, 2.0]), 3).tolist() == [0, 2, 4]


@pytest.mark.parametrize("seed", range(5))
def test_every_choice_is_another_frame(seed):
    times = np.cumsum(np.random.default_rng(seed).exponential(size=40) ** 4 + 1e-4)
    for frames in range(2, 41):
        chosen = choose(times, frames)
        assert len(chosen) == frames
        assert np.all(np.diff(chosen) > 0)
        assert (chosen[0], chosen[-1]) == (0, 39)


def test_stack_turns_counter_clockwise_and_keeps_the_first_size(tmp_path):
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    stack = Stack(tmp_path, None)
    stack.add(picture, rotation=90)
    stack.add(np.full((4, 4, 3), 7, np.uint8))
    clip = stack.clip(np.zeros(2), 3, 2, 1.0, "pyav", ("first",))
    np.testing.assert_array_equal(clip.frames[0], np.rot90(picture))
    assert clip.frames.shape == (2, 3, 2, 3)
    assert (clip.frames[1] == 7).all()
    assert clip.notes[0] == "first"
    assert "used 2" in clip.notes[1]
    assert "size" in clip.notes[2]


def test_stack_refuses_more_than_memory_should_hold(tmp_path, monkeypatch):
    assert MAX_CLIP_BYTES >= 2**30
    monkeypatch.setattr("fewvid.data.frames.MAX_CLIP_BYTES", 100)
    stack = Stack(tmp_path, None)
    with pytest.raises(UserError, match="ask for fewer frames or give size="):
        stack.add(np.zeros((8, 8, 3), np.uint8))
