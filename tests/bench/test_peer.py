"""The peer's side of each case, where torch is installed."""

import pytest

from fewvid.bench import cases, sizes

pytestmark = pytest.mark.parity
TINY = sizes.SIZES["tiny"]


@pytest.fixture(autouse=True)
def torch():
    return pytest.importorskip("torch", reason="needs torch (requirements-parity.txt)")


@pytest.mark.parametrize("work", ["encode", "prefill", "decode", "clip", "train"])
def test_a_work_runs_twice(work):
    from fewvid.bench.peer import WORKS

    prepare = WORKS[work](TINY)
    for case in cases.WORKS[work](TINY)[:2]:
        ready = prepare(case)
        ready.call()
        ready.call()


def test_models_are_made_in_the_dtype_and_attend_by_fused_kernels(torch):
    from fewvid.bench.peer.device import Device
    from fewvid.checkpoints.families import decoders

    model = Device("bfloat16").model(decoders.write_config(TINY.model.decoder))
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "sdpa"
    assert torch.get_default_dtype() == torch.float32


def test_both_sides_have_as_many_weights():
    from fewvid.bench.peer.device import Device
    from fewvid.checkpoints.families import decoders
    from fewvid.models import flops

    model = Device("float32").model(decoders.write_config(TINY.model.decoder))
    matrices = {name: w.numel() for name, w in model.named_parameters() if w.ndim == 2}
    assert sum(matrices.values()) == flops.decoder_weights(TINY.model)  # the head is tied
