"""Each case of the tiny size can be timed; and what is random is no nonsense."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.bench import cases, sizes
from fewvid.bench.ours import WORKS, weights

TINY = sizes.SIZES["tiny"]


@pytest.mark.parametrize("work", cases.WORKS)
def test_a_work_runs_twice(work):
    prepare = WORKS[work](TINY)
    for case in cases.WORKS[work](TINY)[:2]:
        ready = prepare(case)
        ready.call()
        ready.call()  # what was donated is there again
        assert ready.compile_seconds > 0
        if work == "clip":
            assert set(ready.more()["milliseconds"]) > {"preprocess", "encode", "prefill"}


def test_a_dtype_is_that_of_all_weights_and_none_is_made_in_another():
    size = sizes.Size.from_dict(TINY.to_dict() | {"dtype": "bfloat16"})
    params = weights.random_params(size, ("encoder", "adapter", "decoder"))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    kernel = np.asarray(params["decoder"]["layers"]["mlp_in"]["kernel"], np.float32)
    assert kernel.std() == pytest.approx(kernel.shape[1] ** -0.5, rel=0.05)


@pytest.mark.parametrize("work", ["encode", "prefill", "decode", "clip"])
def test_it_runs_in_bfloat16(work):
    size = sizes.Size.from_dict(TINY.to_dict() | {"dtype": "bfloat16"})
    WORKS[work](size)(cases.WORKS[work](size)[0]).call()


def test_a_case_without_memory_is_said_and_not_the_end():
    from fewvid.bench.child import timed

    def prepare(case):
        raise RuntimeError("RESOURCE_EXHAUSTED: no memory\nand much more")

    found = timed(prepare, cases.encode(TINY)[0], 2)
    assert found == {"error": "RuntimeError: RESOURCE_EXHAUSTED: no memory"}
