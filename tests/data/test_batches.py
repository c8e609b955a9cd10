"""The packed row: every question as if it stood alone."""

import numpy as np
import pytest

from fewvid.data.batches import BatchShape, empty_like, pack_row, stack
from fewvid.errors import UserError

PREFIX = [1, 4, 4]
ONE = [([10, 11], [20, 2])]
TWO = [([12, 13, 14], [21, 2])]


def attends(row):
    """bool[L,L]: the contract's mask."""
    segments = row["segments"]
    length = len(segments)
    same = segments[:, None] == segments[None]
    return np.tri(length, dtype=bool) & (same | (segments[None] == 1))


def test_a_row_as_the_drawing_says():
    row, kept = pack_row(PREFIX, [ONE, TWO], length=14, answers=5)
    assert kept == (0, 1)
    assert row["tokens"].tolist() == [1, 4, 4, 10, 11, 20, 2, 12, 13, 14, 21, 2, 0, 0]
    assert row["segments"].tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 0, 0]
    assert row["positions"].tolist() == [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 0, 0]
    assert row["answer_positions"].tolist() == [4, 5, 9, 10, 0]
    assert row["answer_tokens"].tolist() == [20, 2, 21, 2, 0]
    assert row["answer_weights"].tolist() == [1, 1, 1, 1, 0]


def test_a_packed_question_reads_exactly_what_it_reads_alone():
    together = pack_row(PREFIX, [ONE, TWO], 14, 5).row
    alone = pack_row(PREFIX, [TWO], 14, 5).row
    for place in range(5):
        seen = attends(together)[7 + place]
        seen_alone = attends(alone)[3 + place]
        for key in ("tokens", "positions"):
            assert together[key][seen].tolist() == alone[key][seen_alone].tolist()


def test_a_conversation_is_one_segment_with_all_its_answers():
    row, _ = pack_row(PREFIX, [ONE + TWO], 14, 5)
    assert row["segments"].tolist() == [1] * 3 + [2] * 9 + [0] * 2
    assert row["positions"].tolist() == [*range(12), 0, 0]
    assert row["answer_positions"].tolist() == [4, 5, 9, 10, 0]
    assert attends(row)[9, :10].all()


@pytest.mark.parametrize(("length", "answers"), [(9, 9), (20, 3)])
def test_what_does_not_fit_stays_out_whole_and_the_next_is_tried(length, answers):
    row, kept = pack_row(PREFIX, [ONE, TWO, [([15], [2])]], length, answers)
    assert kept == (0, 2)
    assert row["answer_weights"].sum() == 3
    assert 12 not in row["tokens"]


@pytest.mark.parametrize(
    ("length", "answers", "says"), [(6, 5, "length to 7"), (14, 1, "answers to 2")]
)
def test_what_could_never_fit_is_an_error(length, answers, says):
    with pytest.raises(UserError, match=says):
        pack_row(PREFIX, [ONE], length, answers)


def test_stack_and_an_empty_row():
    row = pack_row(PREFIX, [ONE], 14, 5).row | {"sample": np.array(3, np.int32)}
    batch = stack([row, empty_like(row, pad=7)])
    assert batch["tokens"].shape == (2, 14)
    assert batch["tokens"].dtype == np.int32
    assert set(batch["tokens"][1]) == {7}
    assert batch["answer_weights"][1].sum() == 0
    assert batch["sample"].tolist() == [3, -1]


@pytest.mark.parametrize(
    ("change", "says"), [({"length": 16}, "no room for text"), ({"answers": 0}, "answers")]
)
def test_a_shape_without_room_is_refused(change, says):
    sizes = {"batch_size": 1, "frames": 4, "image_size": 8, "length": 20, "answers": 4}
    with pytest.raises(UserError, match=says):
        BatchShape(**(sizes | {"visual_tokens_per_frame": 4} | change))
