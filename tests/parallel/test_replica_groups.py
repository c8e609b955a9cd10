"""Groups of devices in the ways that HLO text has them."""

import pytest

from fewvid.parallel.replica_groups import groups, pairs, spans


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("replica_groups={{0,3},{1,2}}, dimensions={0}", [[0, 3], [1, 2]]),
        ("replica_groups={{0},{1},{2},{3}}", [[0], [1], [2], [3]]),
        ("replica_groups={}, to_apply=%add", [[0, 1, 2, 3]]),
        ("channel_id=1", [[0, 1, 2, 3]]),
        ("replica_groups=[2,2]<=[4], dimensions={0}", [[0, 1], [2, 3]]),
        ("replica_groups=[2,2]<=[2,2]T(1,0), dimensions={0}", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'a'}, dimensions={0}", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'a','b'}", [[0, 1, 2, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2], device_ids=(0,3,1,2) {'b'}, x=1", [[0, 3], [1, 2]]),
        ("replica_groups=mesh['a'=4] {'a':(1)2}", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=4] {'a':(2)2}", [[0, 1], [2, 3]]),
    ],
)
def test_groups(said, found):
    together = groups(f"  %x = f32[8]{{0}} all-gather(%y), {said}", 4)
    assert [list(each) for each in together] == found


def test_spans():
    assert pairs("collective-permute(%p), source_target_pairs={{0,1},{1,0}}") == [[0, 1], [1, 0]]
    assert spans([[0, 1], [2, 3]], 2) == 1
    assert spans([[0, 2], [1, 3]], 2) == 2
    assert spans([[0, 1, 2, 3, 4, 5, 6, 7]], 2) == 4
    assert spans([], 2) == 1
