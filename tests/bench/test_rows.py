"""From seconds to the numbers of a row, by hand."""

import pytest

from fewvid.bench import rows, table
from fewvid.bench.cases import ENCODER, Case
from fewvid.bench.sizes import SIZES
from fewvid.bench.timing import measure, summary

CASE = Case("decode", "batch 2", "tokens/s", 20, flops=100, bytes=4000)
OURS = {"seconds": 2.0, "q1": 1.0, "q3": 4.0, "runs": 3, "compile_seconds": 0.5}
PEER = {"seconds": 5.0, "q1": 5.0, "q3": 5.0, "runs": 3, "compile_seconds": 0.0}
LIMITS = rows.Ceilings(flops=1000.0, bytes=4000.0, of="ours")


def test_a_row():
    row = rows.row(CASE, OURS, PEER, LIMITS)
    assert (row["ours"]["value"], row["ours"]["value_q1"], row["ours"]["value_q3"]) == (10, 5, 20)
    assert (row["peer"]["value"], row["ratio"]) == (4, 2.5)
    assert (row["floor_seconds"], row["floor_value"], row["of_floor"]) == (1.0, 20, 0.5)
    assert table.line(row) == (
        "decode  batch 2:  10 [5, 20] tokens/s, peer 4 [4, 4], 2.50 times as fast, floor 20 (50%), "
        "compiled in 0.5 s"
    )


def test_a_row_without_a_peer_and_of_a_sampler():
    case = Case("sampler", "pool", "ms", 1, flops=0, bytes=0)
    row = rows.row(case, OURS | {"seconds": 0.002}, None, None, {"seconds": 0.1})
    assert (row["ratio"], row["floor_seconds"], row["share_of_encoder"]) == (None, None, 0.02)
    assert table.cells(row)[-2] == "2.0% of the encoder"
    encoder = rows.row(Case("sampler", ENCODER, "ms", 1, 0, 0), OURS, None, None, OURS)
    assert "share_of_encoder" not in encoder


def test_a_peer_that_failed_is_named_in_its_place():
    row = rows.row(CASE, OURS, {"error": "OutOfMemoryError: CUDA out of memory"}, LIMITS)
    assert row["ratio"] is None
    assert table.cells(row)[3] == "OutOfMemoryError"


def test_ceilings_are_the_better_of_both():
    size = SIZES["tiny"]
    sides = {
        "ours": {"product": {"seconds": 2.0}, "copy": {"seconds": 1.0}},
        "peer": {"product": {"seconds": 1.0}, "copy": {"seconds": 2.0}},
    }
    found = rows.ceilings(size, sides)
    assert found == rows.Ceilings(2.0 * size.product**3, 2.0 * size.copy, "peer")
    assert rows.ceilings(size, {"ours": {"product": {"error": "no memory"}}}) is None


def test_median_and_quartiles():
    found = summary([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (found.seconds, found.q1, found.q3, found.runs) == (3.0, 2.0, 4.0, 5)
    assert summary([2.0]).q3 == 2.0


def test_a_call_is_warmed_up_before_it_is_timed():
    calls = []
    found = measure(lambda: calls.append(sum(range(100_000))), runs=4)
    assert (found.runs, len(calls)) == (4, 6)
    assert 0 < found.cpu_seconds < 1


def test_numbers_of_three_digits():
    assert [table.number(x) for x in (1234.5, 123.4, 12.34, 0.01234)] == [
        "1,234", "123", "12.3", "0.0123",
    ]  # fmt: skip


@pytest.mark.parametrize("found", [None, {}])
def test_nothing_is_an_empty_cell(found):
    assert table.spread(found) == ""
