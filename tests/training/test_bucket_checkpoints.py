"""Checkpoints in a bucket: through Orbax and TensorStore, whole or not there, damaged put aside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid import buckets
from fewvid.errors import UserError
from fewvid.training.checkpoints import StageCheckpoints
from tests.training.test_checkpoints import PARAMS, data, program


def saved(folder, made):
    checkpoints, taken = StageCheckpoints(folder), data()
    state = made.start(PARAMS, jax.random.key(7))
    for step in (1, 2):
        next(taken)
        state, _ = made.step(state, {}, {"x": jnp.zeros(8)})
        checkpoints.save(step, state, taken, {})
    checkpoints.close()
    return jax.device_get(state)


def test_state_and_data_come_back(cloud, bucket):
    folder, made, place = buckets.at(f"gs://{bucket}/run/c", "--workdir"), program(), data()
    expected = saved(folder, made)
    again = StageCheckpoints(folder)
    state = again.restore(made.abstract, place, {}, print)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), expected)
    assert place.get_state() == {"batches": 2}
    again.delete()
    assert cloud.names(bucket) == []


def test_a_damaged_one_is_put_aside_and_the_one_before_it_used(cloud, bucket):
    folder, made = buckets.at(f"gs://{bucket}/run/c", "--workdir"), program()
    place, said = data(), []
    saved(folder, made)
    objects = cloud.objects[bucket]
    arrays = [n for n in objects if n.startswith("run/c/2/state/") and "/d/" in n]
    for name in arrays:
        whole, generation = objects[name]
        objects[name] = (whole[: len(whole) // 2], generation)
    again = StageCheckpoints(folder)
    state = again.restore(made.abstract, place, {}, said.append)
    assert int(state.step) == 1
    assert place.get_state() == {"batches": 1}
    (line,) = said
    assert line.startswith(f"checkpoint gs://{bucket}/run/c/2 is damaged, or of another version (")
    names = cloud.names(bucket)
    assert {n.replace("/c/2/", "/c/2.damaged/") for n in arrays} <= {*names}  # nothing is lost
    assert not [name for name in names if name.startswith("run/c/2/")]
    again.save(2, state, place, {})
    again.close()
    assert "run/c/2/commit_success.txt" in cloud.names(bucket)


@pytest.mark.parametrize("part", ["/d/", "sums"])  # which TensorStore reads, and gcsfs
def test_one_that_may_not_be_read_is_not_damaged(cloud, bucket, part):
    folder, made = buckets.at(f"gs://{bucket}/run/c", "--workdir"), program()
    saved(folder, made)
    before = cloud.names(bucket)
    again = StageCheckpoints(folder)
    cloud.refuse[f"{bucket}:{part}"] = (403, "no longer")
    with pytest.raises(UserError, match=f"storage.objectAdmin on the bucket {bucket}"):
        again.restore(made.abstract, data(), {}, print)
    assert cloud.names(bucket) == before
